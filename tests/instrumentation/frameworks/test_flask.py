import logging
from collections.abc import Iterator

import pytest
from flask import Blueprint, Flask, Response, abort, send_file
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asking import ask_wsgi, server_span
from tests.instrumentation.frameworks.shops import Broken, flask_shop


def test_prefixes_of_blueprints_are_part_of_the_route(exported: FakeCollector) -> None:
    app, outer, inner = Flask("shop"), Blueprint("outer", "shop"), Blueprint("inner", "shop")
    inner.get("/<id>")(lambda id: id)
    outer.register_blueprint(inner, url_prefix="/orders")
    app.register_blueprint(outer, url_prefix="/eu")

    ask_wsgi(clew.instrument(app), "/eu/orders/3")

    assert server_span(exported).name == "GET /eu/orders/<id>"


@pytest.mark.parametrize("outside", [True, False])
def test_an_app_under_a_dispatcher_has_its_place_in_the_route(exported: FakeCollector, outside: bool) -> None:
    shop = flask_shop() if outside else clew.instrument(flask_shop())
    app = DispatcherMiddleware(Flask("root"), {"/shop": shop})
    clew.instrument(Flask("any"))

    ask_wsgi(clew.ClewWSGIMiddleware(app) if outside else app, "/shop/orders/17")

    span = server_span(exported)
    assert span.name == "GET /shop/orders/<int:id>"
    assert attributes_of(span.attributes)["url.path"] == "/shop/orders/17"


def test_what_is_put_around_it_later_does_not_double_it(exported: FakeCollector) -> None:
    app = clew.instrument(flask_shop())
    app.wsgi_app = ProxyFix(app.wsgi_app)

    answer = ask_wsgi(clew.instrument(app), "/orders/1", {"X-Forwarded-For": "10.1.2.3"})

    assert len(answer.request_ids) == 1
    server_span(exported)


def test_the_500_is_logged_with_the_ids(exported: FakeCollector) -> None:
    ask_wsgi(clew.instrument(flask_shop()), "/fail/broken", {"X-Request-ID": "r"})

    span = server_span(exported)
    (line,) = [log for log in exported.logs if "Exception on /fail/broken" in log.body.string_value]
    assert line.trace_id == span.trace_id
    assert attributes_of(line.attributes)["correlation.id"] == "r"


def test_exceptions_that_are_propagated_are_recorded_once(exported: FakeCollector) -> None:
    app = clew.instrument(flask_shop())
    app.testing = True

    with pytest.raises(Broken):
        app.test_client().get("/fail/broken")

    assert len(server_span(exported).events) == 1


@pytest.mark.parametrize(("code", "events"), [(404, 0), (503, 1)])
def test_abort_is_a_failure_from_500_on(exported: FakeCollector, code: int, events: int) -> None:
    app = Flask("shop")
    app.get("/")(lambda: abort(code))

    assert ask_wsgi(clew.instrument(app)).status == code

    span = server_span(exported)
    assert len(span.events) == events
    assert (span.status.code == Status.STATUS_CODE_ERROR) == bool(events)


def test_hooks_around_a_view_belong_to_the_request(exported: FakeCollector) -> None:
    app = flask_shop()
    log = logging.getLogger("shop")
    app.before_request(lambda: log.warning("before"))
    app.teardown_request(lambda error: log.warning("teardown"))

    def after(response: Response) -> Response:
        response.call_on_close(lambda: log.warning("close"))
        log.warning("after")
        return response

    app.after_request(after)

    ask_wsgi(clew.instrument(app), "/orders/1", {"X-Request-ID": "r"})

    span = server_span(exported)
    lines = {log.body.string_value: log for log in exported.logs}
    assert lines.keys() >= {"before", "after", "teardown", "close"}
    assert {line.trace_id for line in lines.values()} == {span.trace_id}


def test_a_stream_that_fails_is_recorded(exported: FakeCollector) -> None:
    app = Flask("shop")

    @app.get("/")
    def stream() -> Response:
        def parts() -> Iterator[bytes]:
            yield b"one"
            raise Broken

        return Response(parts())

    answer = ask_wsgi(clew.instrument(app))

    assert isinstance(answer.error, Broken)
    assert server_span(exported).status.code == Status.STATUS_CODE_ERROR


def test_an_async_view_belongs_to_the_request(exported: FakeCollector) -> None:
    pytest.importorskip("asgiref")
    app = Flask("shop")

    @app.get("/")
    async def view() -> str:
        return str(clew.correlation_id())

    assert ask_wsgi(clew.instrument(app), headers={"X-Request-ID": "r"}).body == b"r"


def test_a_file_is_sent(exported: FakeCollector) -> None:
    app = Flask("shop")
    app.get("/")(lambda: send_file(__file__))

    answer = ask_wsgi(clew.instrument(app))

    assert b"test_a_file_is_sent" in answer.body
    server_span(exported)
