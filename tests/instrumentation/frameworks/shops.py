"""The same little service in every framework, for what is promised of all of them."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import clew
from tests.instrumentation.frameworks.asking import Ask, ask_asgi, ask_wsgi

log = logging.getLogger("shop")


class Broken(Exception):
    """Nobody handles it."""


class SoldOut(Exception):
    """The service's own handler makes a 503 of it."""


class Unknown(Exception):
    """The service's own handler makes a 404 of it."""


def work(what: str) -> str:
    """A log line and a span of the service's own."""
    with clew.get_tracer("shop").start_as_current_span(what):
        log.warning(what)
    return what


def parts() -> Iterator[bytes]:
    """A body that is worked out while it is sent."""
    for number in range(2):
        work(f"part {number}")
        yield b"part\n"


def fail(how: str) -> str:
    raise {"broken": Broken, "sold-out": SoldOut, "unknown": Unknown}[how](how)


@dataclass(frozen=True)
class Shop:
    """`/orders/17` works, `/stream` streams, `/fail/<how>` fails; not instrumented yet."""

    name: str
    make: Callable[[], Any]
    ask: Ask
    route: str


def starlette_shop() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response, StreamingResponse
    from starlette.routing import Route

    def order(request: Request) -> Response:
        return PlainTextResponse(work("order"))

    def failing(request: Request) -> Response:
        return PlainTextResponse(fail(request.path_params["how"]))

    def stream(request: Request) -> Response:
        return StreamingResponse(parts())

    return Starlette(
        routes=[Route("/orders/{id:int}", order), Route("/stream", stream), Route("/fail/{how}", failing)],
        exception_handlers={
            SoldOut: lambda request, error: PlainTextResponse("sold out", status_code=503),
            Unknown: lambda request, error: PlainTextResponse("unknown", status_code=404),
        },
    )


def fastapi_shop() -> Any:
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse, StreamingResponse
    from starlette.requests import Request

    app = FastAPI()
    app.get("/orders/{id}")(lambda id: work("order"))
    app.get("/stream")(lambda: StreamingResponse(parts()))
    app.get("/fail/{how}")(fail)

    async def sold_out(request: Request, error: Exception) -> Any:
        return PlainTextResponse("sold out", status_code=503)

    app.exception_handler(SoldOut)(sold_out)
    app.exception_handler(Unknown)(lambda request, error: PlainTextResponse("unknown", status_code=404))
    return app


def litestar_shop() -> Any:
    import litestar
    from litestar.params import FromPath
    from litestar.response import Response, Stream

    @litestar.get("/orders/{id:int}", sync_to_thread=True)
    def order(id: FromPath[int]) -> str:
        return work("order")

    @litestar.get("/stream", sync_to_thread=False)
    def stream() -> Stream:
        return Stream(parts())

    @litestar.get("/fail/{how:str}")
    async def failing(how: FromPath[str]) -> str:
        return fail(how)

    return litestar.Litestar(
        [order, stream, failing],
        exception_handlers={
            SoldOut: lambda request, error: Response("sold out", status_code=503),
            Unknown: lambda request, error: Response("unknown", status_code=404),
        },
    )


def quart_shop() -> Any:
    from quart import Quart, Response

    app = Quart("shop")

    @app.get("/orders/<int:id>")
    async def order(id: int) -> str:
        return work("order")

    @app.get("/stream")
    def stream() -> Response:
        return Response(parts())

    @app.get("/fail/<how>")
    async def failing(how: str) -> str:
        return fail(how)

    app.errorhandler(SoldOut)(lambda error: ("sold out", 503))
    app.errorhandler(Unknown)(lambda error: ("unknown", 404))
    return app


def flask_shop() -> Any:
    from flask import Flask, Response

    app = Flask("shop")
    app.get("/orders/<int:id>")(lambda id: work("order"))
    app.get("/stream", endpoint="stream")(lambda: Response(parts()))
    app.get("/fail/<how>")(fail)
    app.errorhandler(SoldOut)(lambda error: ("sold out", 503))
    app.errorhandler(Unknown)(lambda error: ("unknown", 404))
    return app


def falcon_shop() -> Any:
    import falcon

    class Order:
        def on_get(self, req: falcon.Request, resp: falcon.Response, id: int) -> None:
            resp.text = work("order")

    class Stream:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            resp.stream = parts()

    class Failing:
        def on_get(self, req: falcon.Request, resp: falcon.Response, how: str) -> None:
            fail(how)

    def sold_out(req: Any, resp: falcon.Response, error: Exception, params: Any) -> None:
        resp.status = falcon.HTTP_503

    def unknown(req: Any, resp: falcon.Response, error: Exception, params: Any) -> None:
        raise falcon.HTTPNotFound

    app = falcon.App()
    app.add_route("/orders/{id:int}", Order())
    app.add_route("/stream", Stream())
    app.add_route("/fail/{how}", Failing())
    app.add_error_handler(SoldOut, sold_out)
    app.add_error_handler(Unknown, unknown)
    return app


def falcon_asgi_shop() -> Any:
    import falcon
    import falcon.asgi

    class Order:
        async def on_get(self, req: Any, resp: Any, id: int) -> None:
            resp.text = work("order")

    class Stream:
        async def on_get(self, req: Any, resp: Any) -> None:
            async def stream() -> Any:
                for part in parts():
                    yield part

            resp.stream = stream()

    class Failing:
        async def on_get(self, req: Any, resp: Any, how: str) -> None:
            fail(how)

    async def sold_out(req: Any, resp: Any, error: Exception, params: Any) -> None:
        resp.status = falcon.HTTP_503

    async def unknown(req: Any, resp: Any, error: Exception, params: Any) -> None:
        raise falcon.HTTPNotFound

    app = falcon.asgi.App()
    app.add_route("/orders/{id:int}", Order())
    app.add_route("/stream", Stream())
    app.add_route("/fail/{how}", Failing())
    app.add_error_handler(SoldOut, sold_out)
    app.add_error_handler(Unknown, unknown)
    return app


def django_shop() -> Any:
    from tests.instrumentation.frameworks import django_site

    return django_site.wsgi()


def django_asgi_shop() -> Any:
    from tests.instrumentation.frameworks import django_site

    return django_site.asgi()


SHOPS = (
    Shop("starlette", starlette_shop, ask_asgi, "/orders/{id:int}"),
    Shop("fastapi", fastapi_shop, ask_asgi, "/orders/{id}"),
    Shop("litestar", litestar_shop, ask_asgi, "/orders/{id}"),
    Shop("quart", quart_shop, ask_asgi, "/orders/<int:id>"),
    Shop("falcon-asgi", falcon_asgi_shop, ask_asgi, "/orders/{id:int}"),
    Shop("django-asgi", django_asgi_shop, ask_asgi, "/orders/<int:id>"),
    Shop("flask", flask_shop, ask_wsgi, "/orders/<int:id>"),
    Shop("falcon", falcon_shop, ask_wsgi, "/orders/{id:int}"),
    Shop("django", django_shop, ask_wsgi, "/orders/<int:id>"),
)
