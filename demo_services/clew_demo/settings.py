"""Where a service keeps its data and finds its neighbours: the environment, read once at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
PORTS = {
    "gateway": 8850,
    "accounts": 8851,
    "catalog": 8852,
    "catalog-2": 8853,
    "orders": 8854,
    "inventory": 8855,
    "payments": 8856,
    "warehouse": 8857,
    "fraud": 8858,
    "recommendations": 8859,
    "pricing": 8860,
    "control": 8861,
    "redis": 8862,
}
"""Of each instance that listens, when nobody says otherwise. `notifications` and `shipping` only consume messages."""

DEFAULT_DATA = Path("clew-demo-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the `CLEW_DEMO_*` variables say; unset, all services share this machine."""

    data: Path
    """`CLEW_DEMO_DATA`: each service has a file of its own in there, and the planted faults are in there, too."""

    redis_url: str
    """`CLEW_DEMO_REDIS_URL`: cache, locks and the registry."""

    broker_url: str
    """`CLEW_DEMO_BROKER_URL`: where kombu sends messages: `amqp://...`, or a Redis."""

    urls: Mapping[str, str]
    """Of every instance, by its name."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Settings":
        """Settings of this process."""
        urls = {
            name: environ.get(url_variable(name), f"http://{HOST}:{port}")
            for name, port in PORTS.items()
            if name != "redis"
        }
        redis_url = environ.get("CLEW_DEMO_REDIS_URL", f"redis://{HOST}:{PORTS['redis']}/0")
        return cls(
            data=Path(environ.get("CLEW_DEMO_DATA", DEFAULT_DATA)),
            redis_url=redis_url,
            broker_url=environ.get("CLEW_DEMO_BROKER_URL", redis_url),
            urls=urls,
        )


def url_variable(instance: str) -> str:
    """Name of the environment variable that says where an instance listens."""
    return f"CLEW_DEMO_{instance.upper().replace('-', '_')}_URL"
