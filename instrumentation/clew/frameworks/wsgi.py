"""The WSGI middleware: IDs in, span and context around, IDs out.

A response is not over when its app returns: the context is active again for every part of the body that the server
takes and for `close()`, and only then; between them the thread, or greenlet, may serve somebody else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, Self, cast

from opentelemetry.context.context import Context

from clew.context import CURRENT, restore
from clew.frameworks.http_server import INTERNAL_SERVER_ERROR, KNOWN_METHODS, SERVED, ServedRequest
from clew.incoming import SERVER, begin, enter, exclude, is_excluded
from clew.runtime import RUNTIME
from clew.spans import LightSpan

Environ = dict[str, Any]
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]

_HOST: Final = b"host"
_USER_AGENT: Final = b"user-agent"
_VERSIONS: Final = {f"HTTP/{version}": version for version in ("1.0", "1.1", "2", "3")}

_DEBUGGER: Final = "werkzeug.debug.preserve_context"
"""In the environ when Werkzeug's debugger is around the app: it answers a failure with its own page."""


class ClewWSGIMiddleware:
    """Around any WSGI app. A request that another one already follows passes through.

    An app that raises before it has answered gets a plain 500 with the request ID, and the exception goes on to the
    server, which logs it as ever: the answer is already written then, by the `write` of `start_response`.
    """

    def __init__(self, app: WSGIApp) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request, as PEP 3333 says."""
        if not RUNTIME.enabled or SERVED in environ:
            return self.app(environ, start_response)
        around = environ.get("asgi.scope")
        if isinstance(around, dict) and SERVED in around:
            # a2wsgi runs the app inside of an ASGI one, which is followed already; the route is known in here.
            environ[SERVED] = around[SERVED]
            return self.app(environ, start_response)
        policy = RUNTIME.headers
        headers = _pick(environ, policy.wanted)
        outer = CURRENT.get()
        method = environ.get("REQUEST_METHOD", "GET")
        span = begin(method if method in KNOWN_METHODS else "HTTP", SERVER, headers, outer)
        correlation_id, context = enter(span, headers, outer)
        served = _Exchange(span, start_response, (policy.request_id_name, correlation_id), environ, headers)
        if RUNTIME.excluded is not None and is_excluded(served.path):
            exclude(span)
        environ[SERVED] = served
        token = CURRENT.set(context)
        try:
            return served.follow(self.app(environ, served.start_response))
        except BaseException as error:
            served.break_off(error)
            raise
        finally:
            served.context = CURRENT.get()
            restore(token)


class _Exchange(ServedRequest):
    """One request's way back: gives the response its ID and sees how it ends."""

    context: Context
    """Where the last part of the app's work has ended, and the next one goes on."""

    has_begun: bool = False
    """Whether status and headers are on their way, and cannot change any more."""

    def __init__(
        self,
        span: LightSpan,
        start_response: StartResponse,
        request_id: tuple[str, str],
        environ: Environ,
        headers: Mapping[bytes, bytes],
    ) -> None:
        self.span = span
        self._start_response = start_response
        self._request_id = request_id
        self._environ = environ
        get = environ.get
        protocol = get("SERVER_PROTOCOL", "HTTP/1.1")
        # As they came: what dispatches by a path's beginning moves it from one of the two to the other.
        self.path = _decode(f"{get('SCRIPT_NAME', '')}{get('PATH_INFO', '')}")
        self._exchange = (
            get("REQUEST_METHOD", "GET"),
            get("wsgi.url_scheme", "http"),
            _VERSIONS.get(protocol, protocol),
            headers.get(_HOST),
            headers.get(_USER_AGENT),
        )

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None) -> Write:
        """PEP 3333's, with the request ID in the headers, exactly once."""
        name = self._request_id[0].lower()
        try:
            # A new list: the response's own may be one that the service sends again.
            own = [pair for pair in headers if pair[0].lower() != name]
            own.append(self._request_id)
        except (AttributeError, IndexError, TypeError):
            # No headers at all; the server will say so.
            own = headers
        if exc_info is None:
            self._write = self._start_response(status, own)
        else:
            self.error = exc_info[1]
            self._write = self._start_response(status, own, exc_info)
        self.status_code = status_code = _code_of(status)
        if status_code >= 500 and self.error is not None:
            self.fail(self.error)
        return self._write_and_note

    def follow(self, body: Iterable[bytes]) -> Iterable[bytes]:
        """What the server is to send instead of `body`: the same, and the span ends with it."""
        kind = type(body)
        if kind is list or kind is tuple:
            self.finish()
            return body
        parts = _SizedBody(body, self) if hasattr(kind, "__len__") else _Body(body, self)
        file_wrapper = self._environ.get("wsgi.file_wrapper")
        if not isinstance(file_wrapper, type) or not isinstance(body, file_wrapper):
            return parts
        # The server knows its own wrapper and sends the file in its own way, by `sendfile` for example.
        try:
            body.close = parts.close  # type: ignore[attr-defined]
        except (AttributeError, TypeError):
            self.finish()
        return body

    def break_off(self, error: BaseException) -> None:
        """End the span of an app that raised; the caller gets an answer, if that is still possible."""
        if isinstance(error, Exception):
            self.fail(error)
            self._answer_failure(error)
        self.finish()

    def finish(self) -> None:
        """End the span; twice is as once."""
        if self.span.end_ns is not None:
            return
        environ = self._environ
        client = environ.get("REMOTE_ADDR")
        query = environ.get("QUERY_STRING") or ""
        self.end(
            self._exchange,
            self.path,
            query.encode("latin-1", "replace"),
            (client, 0) if client else None,
        )
        # Both know each other; apart, they need not wait for the collector of garbage.
        environ.pop(SERVED, None)

    def _write_and_note(self, data: bytes) -> object:
        self.has_begun = True
        return self._write(data)

    def _answer_failure(self, error: Exception) -> None:
        if self.has_begun or _DEBUGGER in self._environ:
            return
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(INTERNAL_SERVER_ERROR)))]
        traceback = error.__traceback__
        # An answer that the app has begun, and of which nothing is sent, is taken back.
        again = ((type(error), error, traceback),) if self.status_code else ()
        try:
            write = self.start_response("500 Internal Server Error", headers, *again)
            write(b"" if self._exchange[0] == "HEAD" else INTERNAL_SERVER_ERROR)
        except Exception:  # noqa: BLE001  (the caller is gone; what counts is the failure that brought us here)
            return
        finally:
            error.__traceback__ = traceback


class _Body:
    """A response's body, each step of it in the request's context."""

    __slots__ = ("_close", "_iterator", "_parts", "_served")

    def __init__(self, parts: Iterable[bytes], served: _Exchange) -> None:
        self._parts = parts
        self._iterator: Iterator[bytes] | None = None
        self._close = getattr(parts, "close", None)
        self._served = served

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        served = self._served
        token = CURRENT.set(served.context)
        try:
            if self._iterator is None:
                self._iterator = iter(self._parts)
            part = next(self._iterator)
            served.has_begun = True
            return part
        except StopIteration:
            served.finish()
            raise
        except BaseException as error:
            served.break_off(error)
            raise
        finally:
            served.context = CURRENT.get()
            restore(token)

    def close(self) -> None:
        """Close the body, as the server does with every one, read to its end or not."""
        served = self._served
        token = CURRENT.set(served.context)
        try:
            if self._close is not None:
                self._close()
        except Exception as error:
            served.fail(error)
            raise
        finally:
            served.finish()
            restore(token)


class _SizedBody(_Body):
    """A body that knows how many parts it has: servers make a Content-Length of a single one."""

    __slots__ = ()

    def __len__(self) -> int:
        return len(cast(Any, self._parts))


def _pick(environ: Mapping[str, Any], wanted: frozenset[bytes]) -> dict[bytes, bytes]:
    headers = {}
    for key, name in _keys(wanted):
        value = environ.get(key)
        if value is not None:
            try:
                headers[name] = value.encode("latin-1")
            except (AttributeError, UnicodeEncodeError):
                # No server makes such a value; it is as good as none.
                headers[name] = b""
    return headers


@lru_cache(maxsize=8)
def _keys(wanted: frozenset[bytes]) -> tuple[tuple[str, bytes], ...]:
    """Where an environ has these headers."""
    return tuple((f"HTTP_{name.decode().upper().replace('-', '_')}", name) for name in wanted)


def _decode(path: str) -> str:
    """A path as it was meant; WSGI has its bytes, each as a character."""
    return path if path.isascii() else path.encode("latin-1", "replace").decode("utf-8", "replace")


def _code_of(status: str) -> int:
    code = status[:3]
    return int(code) if code.isdigit() else 0
