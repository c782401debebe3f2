"""Who may send over HTTP: those with a key, where keys are asked for."""

from collections.abc import Awaitable, Callable, Iterable

import orjson
from google.rpc.code_pb2 import UNAUTHENTICATED

from clew_collector.errors import Unauthorized
from clew_collector.keys import KEY, Keys
from clew_collector.receivers.answering import Answer, Count, headers_of, send_answer
from clew_collector.receivers.body import Receive, Scope, Send

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class KeyGuard:
    """An ASGI application that lets those with a key through to another one, but anyone to `open_paths`."""

    def __init__(self, app: App, keys: Keys, *, count: Count, open_paths: Iterable[str] = ()) -> None:
        self._app = app
        self._keys = keys
        self._count = count
        self._open_paths = frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, or hand the request on with its key in `KEY`."""
        # A browser sends a preflight without credentials (Fetch standard, CORS protocol).
        if scope["type"] != "http" or scope["path"] in self._open_paths or scope["method"] == "OPTIONS":
            await self._app(scope, receive, send)
            return
        headers = headers_of(scope)
        try:
            key = self._keys.find(
                authorization=headers.get(b"authorization", ""), api_key=headers.get(b"x-api-key", "")
            )
        except Unauthorized as error:
            self._count(("refused", "other", "no key"), 1)
            await send_answer(send, _unauthorized(str(error)))
            return
        token = KEY.set(key)
        try:
            await self._app(scope, receive, send)
        finally:
            KEY.reset(token)


def _unauthorized(message: str) -> Answer:
    return Answer(
        status=401,
        content_type="application/json",
        body=orjson.dumps({"code": UNAUTHENTICATED, "message": message}),
        headers=((b"www-authenticate", b'Bearer realm="clew"'),),
    )
