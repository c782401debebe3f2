"""urllib.request: one client span a request that an HTTP or HTTPS handler sends, redirects by themselves."""

from typing import Any, Final
from urllib.request import AbstractHTTPHandler, Request

from clew.clients.http_call import HTTP_VERSIONS, HttpCall, Target, merged
from clew.clients.wrapping import AnyFunction, wrap
from clew.runtime import RUNTIME

_TRACED_BY: Final = frozenset({"opentelemetry.instrumentation.urllib"})


def install() -> None:
    """Wrap the handlers' common method; twice is the same as once."""
    wrap(AbstractHTTPHandler, "do_open", _around)


def _around(original: AnyFunction) -> AnyFunction:
    def do_open(self: AbstractHTTPHandler, http_class: Any, req: Request, **options: Any) -> Any:
        if not RUNTIME.enabled:
            return original(self, http_class, req, **options)
        with HttpCall(req.get_method(), Target.of, req.full_url, traced_by=_TRACED_BY, resends=_resends(req)) as call:
            given = req.headers, req.unredirected_hdrs
            if call.headers:
                _write(req, call.headers)
            try:
                response = original(self, http_class, req, **options)
            finally:
                req.headers, req.unredirected_hdrs = given
            call.answered(getattr(response, "status", 0), HTTP_VERSIONS.get(getattr(response, "version", 0)))
        return response

    return do_open


def _write(req: Request, own: dict[str, str]) -> None:
    """Into copies: a request that is sent again, or redirected, must not bring the headers of the call before."""
    req.headers = merged({**req.headers, **req.unredirected_hdrs}, own)
    req.unredirected_hdrs = {}


def _resends(req: Request) -> int:
    # `redirect_dict` says how often each address was tried; the request that was redirected shares it with the others.
    return sum(getattr(req, "redirect_dict", {}).values()) if req.unverifiable else 0
