import gc
import logging
import traceback
import weakref
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.asgi_apps import exported_span
from tests.instrumentation.frameworks.asking import WsgiServer, ask_wsgi, environ_of


class Broken(Exception):
    pass


ERROR = Broken("no stock")


def broken(environ: Any, start_response: Any) -> Iterable[bytes]:
    raise ERROR


def broken_generator(environ: Any, start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    if environ:
        raise ERROR
    yield b"never"


def broken_after_start(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    raise ERROR


UNANSWERED = pytest.mark.parametrize("app", [broken, broken_generator, broken_after_start])


@UNANSWERED
def test_who_fails_before_the_answer_has_begun_gets_a_500_with_the_id(exported: FakeCollector, app: Any) -> None:
    answer = ask_wsgi(clew.ClewWSGIMiddleware(app), headers={"X-Request-ID": "r"})

    assert (answer.status, answer.body) == (500, b"Internal Server Error")
    assert answer.request_ids == ["r"]
    assert ("Content-Length", "21") in answer.headers


@UNANSWERED
def test_the_server_sees_the_same_exception(exported: FakeCollector, app: Any) -> None:
    ERROR.__traceback__ = None

    answer = ask_wsgi(clew.ClewWSGIMiddleware(app))

    assert answer.error is ERROR
    functions = [frame.name for frame in traceback.extract_tb(ERROR.__traceback__)]
    assert functions[-1] == app.__name__
    assert "start_response" not in functions
    assert ERROR.args == ("no stock",)


def test_the_failure_is_on_the_span_and_its_ids_on_the_servers_log_line(exported: FakeCollector) -> None:
    answer = ask_wsgi(clew.ClewWSGIMiddleware(broken), headers={"X-Request-ID": "r"})
    logging.getLogger("gunicorn.error").error("Error handling request", exc_info=answer.error)

    span = exported_span(exported)
    assert (span.status.code, span.status.message) == (Status.STATUS_CODE_ERROR, "Broken: no stock")
    (event,) = span.events
    assert attributes_of(event.attributes)["exception.message"] == "no stock"
    (log,) = exported.logs
    assert log.trace_id == span.trace_id
    assert attributes_of(log.attributes)["correlation.id"] == "r"


def test_a_head_request_gets_no_body(exported: FakeCollector) -> None:
    answer = ask_wsgi(clew.ClewWSGIMiddleware(broken), REQUEST_METHOD="HEAD")

    assert (answer.status, answer.body) == (500, b"")


def test_a_server_that_cannot_write_does_not_hide_the_failure(exported: FakeCollector) -> None:
    with pytest.raises(Broken):
        clew.ClewWSGIMiddleware(broken)(environ_of(), lambda *_: None)  # type: ignore[arg-type]


def test_a_second_start_with_exc_info_replaces_the_first(exported: FakeCollector) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        try:
            raise ERROR
        except Broken as error:
            start_response("503 Service Unavailable", [], (Broken, error, error.__traceback__))
        return [b"sorry"]

    answer = ask_wsgi(clew.ClewWSGIMiddleware(app), headers={"X-Request-ID": "r"})

    assert (answer.status, answer.body, answer.request_ids) == (503, b"sorry", ["r"])
    span = exported_span(exported)
    assert attributes_of(span.attributes)["http.response.status_code"] == 503
    assert attributes_of(span.events[0].attributes)["exception.message"] == "no stock"


def test_a_second_start_after_the_first_part_raises_as_the_server_says(exported: FakeCollector) -> None:
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"one"
        try:
            raise ERROR
        except Broken as error:
            start_response("500 Oh", [], (Broken, error, error.__traceback__))
        yield b"never"

    answer = ask_wsgi(clew.ClewWSGIMiddleware(app))

    assert (answer.status, answer.body, answer.error) == (200, b"one", ERROR)
    assert exported_span(exported).status.code == Status.STATUS_CODE_ERROR


def test_headers_that_are_none_are_the_servers_to_refuse(exported: FakeCollector) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", None)
        return []

    assert ask_wsgi(clew.ClewWSGIMiddleware(app)).headers is None


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_process_that_ends_is_no_failure_of_the_request(exported: FakeCollector, end: type[BaseException]) -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise end

    server = WsgiServer()
    with pytest.raises(end):
        clew.ClewWSGIMiddleware(app)(environ_of(), server.start_response)

    assert server.starts == 0
    assert exported_span(exported).status.code == Status.STATUS_CODE_UNSET
    assert clew.trace_id() is None


def test_werkzeugs_debugger_shows_its_own_page(exported: FakeCollector) -> None:
    response = Client(DebuggedApplication(clew.ClewWSGIMiddleware(broken), evalex=True)).get("/")

    assert response.status_code == 500
    assert "no stock" in response.text
    assert exported_span(exported).status.code == Status.STATUS_CODE_ERROR


def test_a_file_goes_to_the_server_as_its_own_wrapper(exported: FakeCollector, tmp_path: Any) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    with file.open("rb") as opened:

        def app(environ: Any, start_response: Any) -> Any:
            start_response("200 OK", [])
            return environ["wsgi.file_wrapper"](opened)

        environ = environ_of() | {"wsgi.file_wrapper": FileWrapper}
        body: Any = clew.ClewWSGIMiddleware(app)(environ, WsgiServer().start_response)

        assert type(body) is FileWrapper
        clew.flush()
        assert exported.spans == []
        assert b"".join(body) == b"content"
        body.close()
        assert opened.closed
        exported_span(exported)


def test_nothing_of_a_request_waits_for_the_collector_of_garbage(exported: FakeCollector) -> None:
    class Marker:
        pass

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("500 Oh", [])
        environ["marker"] = Marker()
        markers.append(weakref.ref(environ["marker"]))
        yield b"part"

    markers: list[Any] = []
    gc.collect()
    gc.disable()
    try:
        ask_wsgi(clew.ClewWSGIMiddleware(app))
        assert markers[0]() is None
    finally:
        gc.enable()
