"""urllib3, and all that is built on it: requests, botocore, the Elasticsearch client.

One client span each time that a pool sends a request; what `Retry` sends again, and redirects, are requests of their
own. A body that urllib3 reads at once (as it does unless `preload_content=False`) is read inside of the span.
"""

from collections.abc import Mapping
from typing import Any, Final

from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from clew.clients.http_call import HTTP_VERSIONS, HttpCall, Target, merged
from clew.clients.wrapping import AnyFunction, wrap
from clew.context import CURRENT
from clew.runtime import RUNTIME

EARLIER_SENDS: Final = "clew.earlier_sends"
"""In the context: how often a library above has sent this request already."""

_TRACED_BY: Final = frozenset({"opentelemetry.instrumentation.urllib3", "opentelemetry.instrumentation.requests"})


def install() -> None:
    """Wrap the pools; twice is the same as once."""
    # Not `urlopen`, which calls itself for each retry: its time is that of all of them, and of the pauses between.
    wrap(HTTPConnectionPool, "_make_request", _around_request)
    wrap(HTTPSConnectionPool, "_prepare_proxy", _around_tunnel)


def _around_request(original: AnyFunction) -> AnyFunction:
    def _make_request(self: HTTPConnectionPool, conn: Any, method: str, url: str, *args: Any, **options: Any) -> Any:
        # urllib3 itself passes the headers by name; whoever calls this otherwise is not followed.
        if not RUNTIME.enabled or options.get("headers") is None:
            return original(self, conn, method, url, *args, **options)
        address = (self.scheme, self.host, self.port, url)
        with HttpCall(method, _locate, address, traced_by=_TRACED_BY, resends=_resends(options)) as call:
            if call.headers:
                options["headers"] = merged(options["headers"], call.headers)
            response = original(self, conn, method, url, *args, **options)
            call.answered(getattr(response, "status", 0), HTTP_VERSIONS.get(getattr(response, "version", 0)))
        return response

    return _make_request


def _around_tunnel(original: AnyFunction) -> AnyFunction:
    def _prepare_proxy(self: HTTPSConnectionPool, conn: Any) -> Any:
        # A tunnel that opens is no call of the service's; one that does not is all that there is of its call.
        with HttpCall("CONNECT", _locate, (self.scheme, self.host, self.port, ""), traced_by=_TRACED_BY):
            return original(self, conn)

    return _prepare_proxy


def _resends(options: Mapping[str, Any]) -> int:
    earlier = CURRENT.get().get(EARLIER_SENDS, 0)
    history = getattr(options.get("retries"), "history", ())
    return (earlier if isinstance(earlier, int) else 0) + len(history)


def _locate(address: tuple[str, str, int | None, str]) -> Target:
    scheme, host, port, url = address
    if url.startswith("/") or not url:
        return Target(scheme, host.strip("[]"), port, url)
    # To a proxy goes the whole address, and the pool is the proxy's.
    return Target.of(url)
