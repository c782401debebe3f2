"""Django is one for a process: its settings, and the shop's views and URLs."""

from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path, re_path

from tests.instrumentation.frameworks.shops import SoldOut, Unknown, fail, parts, work

if not settings.configured:
    settings.configure(
        ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="tests",
        MIDDLEWARE=[f"{__name__}.handle_errors"],
        LOGGING_CONFIG=None,
    )
    django.setup()


def handle_errors(get_response: Any) -> Any:
    class Handling:
        sync_capable = True
        async_capable = False

        def __call__(self, request: HttpRequest) -> Any:
            return get_response(request)

        def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
            if isinstance(error, SoldOut):
                return HttpResponse("sold out", status=503)
            if isinstance(error, Unknown):
                raise Http404
            return None

    return Handling()


def order(request: HttpRequest, id: int) -> HttpResponse:
    return HttpResponse(work("order"))


async def order_async(request: HttpRequest, id: int) -> HttpResponse:
    return HttpResponse(work("order"))


def stream(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(parts())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def stream() -> Any:
        for part in parts():
            yield part

    return StreamingHttpResponse(stream())


def failing(request: HttpRequest, how: str) -> HttpResponse:
    return HttpResponse(fail(how))


def file(request: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


urlpatterns = [
    path("orders/<int:id>", order),
    path("async/<int:id>", order_async),
    path("stream", stream),
    path("stream-async", stream_async),
    path("fail/<how>", failing),
    path("file", file),
    path("eu/", include([path("orders/<int:id>", order)])),
    re_path(r"^old/(?P<id>[0-9]+)$", order),
]


def wsgi() -> Any:
    return get_wsgi_application()


def asgi() -> Any:
    return get_asgi_application()
