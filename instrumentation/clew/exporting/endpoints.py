"""Where the settings send each kind of records."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from clew.exporting.batch import KINDS, Kind
from clew.settings import Settings

_LOOPBACK: Final = ("localhost", "::1")


def endpoint_of(settings: Settings, kind: Kind) -> SplitResult:
    """The address for a kind of records. Over HTTP the base address has the kind's path added to its own."""
    of_kind = settings.traces_endpoint if kind.name == "traces" else settings.logs_endpoint
    if of_kind is not None:
        return urlsplit(of_kind)
    base = urlsplit(settings.endpoint)
    return base if settings.protocol == "grpc" else base._replace(path=base.path.rstrip("/") + kind.path)


def headers_of(settings: Settings, kind: Kind) -> Mapping[str, str]:
    """The headers that go with a kind of records."""
    of_kind = settings.traces_headers if kind.name == "traces" else settings.logs_headers
    return settings.headers if of_kind is None else of_kind


def wants_gzip(settings: Settings) -> bool:
    """Whether batches are compressed. On this machine that costs both sides time and saves nobody anything."""
    if settings.compression == "auto":
        here = all(is_loopback(endpoint_of(settings, kind).hostname or "") for kind in KINDS.values())
        return not here or settings.disk_buffer is not None
    return settings.compression == "gzip"


def shown_endpoint(settings: Settings) -> str:
    """The base address as it may stand in a log line: without a password."""
    url = urlsplit(settings.endpoint)
    return url._replace(netloc=url.netloc.rpartition("@")[2]).geturl().rstrip("/")


def basic_credentials(url: SplitResult) -> str | None:
    """The header value for the user and the password in an address; None when there are none."""
    if not url.username:
        return None
    from base64 import b64encode

    pair = f"{unquote(url.username)}:{unquote(url.password or '')}"
    return "Basic " + b64encode(pair.encode()).decode()


def is_loopback(host: str) -> bool:
    """Whether an address stays on this machine."""
    return host in _LOOPBACK or host.startswith("127.") or host.endswith(".localhost")
