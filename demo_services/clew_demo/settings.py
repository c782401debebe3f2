"""Where a service keeps its data and finds its neighbours: the environment, read once at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PORTS = {"gateway": 8850, "orders": 8851, "inventory": 8852, "payments": 8853}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `CLEW_DEMO_DATA` and `CLEW_DEMO_<SERVICE>_URL` say; unset, all services share this machine."""

    data: Path
    orders_url: str
    inventory_url: str
    payments_url: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings of this process."""
        return cls(
            data=Path(environ.get("CLEW_DEMO_DATA", "clew-demo-data")),
            orders_url=_url(environ, "orders"),
            inventory_url=_url(environ, "inventory"),
            payments_url=_url(environ, "payments"),
        )


def url_variable(service: str) -> str:
    """Name of the environment variable that says where a service listens."""
    return f"CLEW_DEMO_{service.upper()}_URL"


def _url(environ: Mapping[str, str], service: str) -> str:
    return environ.get(url_variable(service), f"http://{HOST}:{PORTS[service]}")
