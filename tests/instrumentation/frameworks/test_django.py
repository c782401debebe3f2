import asyncio
import logging
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.test import Client

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks import django_site
from tests.instrumentation.frameworks.asgi_apps import get
from tests.instrumentation.frameworks.asking import Ask, WsgiServer, ask_asgi, ask_wsgi, environ_of, server_span
from tests.instrumentation.frameworks.shops import Broken

BOTH = pytest.mark.parametrize(
    ("make", "ask"), [(django_site.wsgi, ask_wsgi), (django_site.asgi, ask_asgi)], ids=["wsgi", "asgi"]
)


@BOTH
@pytest.mark.parametrize(
    ("path", "route"), [("/eu/orders/3", "/eu/orders/<int:id>"), ("/old/3", "/old/(?P<id>[0-9]+)$")]
)
def test_the_route_is_the_whole_pattern(exported: FakeCollector, make: Any, ask: Ask, path: str, route: str) -> None:
    ask(clew.instrument(make()), path)

    assert attributes_of(server_span(exported).attributes)["http.route"] == route


@BOTH
@pytest.mark.parametrize("path", ["/async/1", "/stream-async"])
def test_async_views_belong_to_the_request(exported: FakeCollector, make: Any, ask: Ask, path: str) -> None:
    ask(clew.instrument(make()), path, {"X-Request-ID": "r"})

    server = server_span(exported)
    children = [span for span in exported.spans if span is not server and span.parent_span_id]
    assert {child.parent_span_id for child in children} == {server.span_id}
    lines = [log for log in exported.logs if log.body.string_value in ("order", "part 0", "part 1")]
    assert {attributes_of(line.attributes)["correlation.id"] for line in lines} == {"r"}


@BOTH
def test_the_500_is_logged_with_the_ids(exported: FakeCollector, make: Any, ask: Ask) -> None:
    ask(clew.instrument(make()), "/fail/broken", {"X-Request-ID": "r"})

    span = server_span(exported)
    (line,) = [log for log in exported.logs if log.body.string_value == "Internal Server Error: /fail/broken"]
    assert line.trace_id == span.trace_id
    assert attributes_of(line.attributes)["correlation.id"] == "r"


def test_mounted_under_a_script_name_it_is_part_of_the_route(exported: FakeCollector) -> None:
    ask_wsgi(clew.instrument(django_site.wsgi()), "/orders/3", SCRIPT_NAME="/shop")

    assert server_span(exported).name == "GET /shop/orders/<int:id>"


def test_signals_around_a_request_belong_to_it_and_name_djangos_class(exported: FakeCollector) -> None:
    seen: list[Any] = []

    def note(sender: Any, **more: Any) -> None:
        seen.append((sender, clew.correlation_id()))

    for signal in (request_started, request_finished):
        signal.connect(note)
    try:
        ask_wsgi(clew.instrument(django_site.wsgi()), "/orders/1", {"X-Request-ID": "r"})
    finally:
        for signal in (request_started, request_finished):
            signal.disconnect(note)

    assert seen == [(WSGIHandler, "r")] * 2


def test_a_file_is_sent_by_the_servers_wrapper(exported: FakeCollector) -> None:
    environ = environ_of("/file") | {"wsgi.file_wrapper": FileWrapper}

    body: Any = clew.instrument(django_site.wsgi())(environ, WsgiServer().start_response)

    assert type(body) is FileWrapper
    assert b"".join(body).startswith(b'"""Django')
    body.close()
    server_span(exported)


def test_djangos_own_test_client_is_left_alone(exported: FakeCollector) -> None:
    clew.instrument(django_site.wsgi())

    response = Client().get("/orders/1")
    with pytest.raises(Broken):
        Client().get("/fail/broken")

    assert response.content == b"order"


def test_a_caller_that_goes_ends_its_span(exported: FakeCollector) -> None:
    app: Any = clew.instrument(django_site.asgi())
    logging.getLogger("django.request").debug("quiet")

    async def scenario() -> None:
        messages = iter([{"type": "http.request", "body": b""}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            pass

        scope = {"type": "http", "method": "GET", "path": "/orders/1", "headers": [], "query_string": b""}
        await app({**scope, "http_version": "1.1"}, receive, send)

    asyncio.run(scenario())

    server_span(exported)


def test_two_requests_at_once_are_two(exported: FakeCollector) -> None:
    app = clew.instrument(django_site.asgi())

    async def scenario() -> list[Any]:
        return await asyncio.gather(
            *(get(app, "/orders/1", headers={"X-Request-ID": f"r-{number}"}) for number in range(5))
        )

    responses = asyncio.run(scenario())

    assert [response.headers["x-request-id"] for response in responses] == [f"r-{number}" for number in range(5)]
    clew.flush()
    lines = [
        attributes_of(log.attributes)["correlation.id"] for log in exported.logs if log.body.string_value == "order"
    ]
    assert sorted(lines) == [f"r-{number}" for number in range(5)]
