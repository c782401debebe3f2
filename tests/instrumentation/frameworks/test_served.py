"""The same over real servers and sockets: what a caller sees, what the collector gets, what the server logs."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from werkzeug.serving import make_server as make_werkzeug_server

import clew
from tests.docs.pages import get, running
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.shops import SHOPS, falcon_shop, flask_shop
from tests.servers.processes import free_port

APP = "tests.instrumentation.frameworks.served_shop:app"
GUNICORN = f"{sys.executable} -m gunicorn --bind 127.0.0.1:PORT --chdir {Path(__file__).parents[3]} {APP}"
GEVENT = f"{GUNICORN} --worker-class gevent"
UVICORN = f"{sys.executable} -m uvicorn --port PORT --app-dir {Path(__file__).parents[3]} {APP}"
HEADERS = {"X-Request-ID": "r"}
ROUTES = {shop.name: shop.route for shop in SHOPS}


@contextmanager
def served(command: str, shop: str, collector: FakeCollector, folder: Path) -> Iterator[str]:
    port = str(free_port())
    env = {"COLLECTOR": collector.url, "SHOP": shop}
    with running(command.replace("PORT", port), folder=folder, env=env):
        url = f"http://127.0.0.1:{port}"
        get(f"{url}/nowhere")
        yield url


def servers(collector: FakeCollector) -> list[Span]:
    return [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]


@pytest.mark.parametrize(
    ("command", "shop"),
    [
        (GUNICORN, "flask"),
        (GEVENT, "django"),
        (UVICORN, "fastapi"),
        (UVICORN, "litestar"),
        (UVICORN, "quart"),
        (UVICORN, "falcon-asgi"),
        (UVICORN, "django-asgi"),
    ],
    ids=["gunicorn-flask", "gevent-django", "fastapi", "litestar", "quart", "falcon", "django"],
)
def test_requests_are_followed_and_nothing_is_lost_when_the_server_ends(
    collector: FakeCollector, tmp_path: Path, command: str, shop: str
) -> None:
    with served(command, shop, collector, tmp_path) as url, httpx.Client(base_url=url, trust_env=False) as client:
        order = client.get("/orders/17", headers=HEADERS)
        stream = client.get("/stream", headers=HEADERS)
        failed = client.get("/fail/broken", headers=HEADERS)

    assert [answer.status_code for answer in (order, stream, failed)] == [200, 200, 500]
    assert stream.content == b"part\npart\n"
    assert {answer.headers["x-request-id"] for answer in (order, stream, failed)} == {"r"}
    ours = [span for span in servers(collector) if attributes_of(span.attributes)["correlation.id"] == "r"]
    ours.sort(key=lambda span: span.start_time_unix_nano)  # a stream may end after the next request
    assert [span.name.partition("<")[0].partition("{")[0] for span in ours] == [
        "GET /orders/",
        "GET /stream",
        "GET /fail/",
    ]
    assert len({span.trace_id for span in ours}) == 3
    lines = {log.body.string_value: log for log in collector.logs}
    assert lines["part 1"].trace_id == ours[1].trace_id
    assert lines["order"].trace_id == ours[0].trace_id


def test_gunicorn_logs_what_a_raw_app_raises_and_the_caller_gets_the_id(
    collector: FakeCollector, tmp_path: Path
) -> None:
    with served(GUNICORN, "raw", collector, tmp_path) as url:
        status, headers, body = get(f"{url}/raw", HEADERS)

    assert (status, body, headers["x-request-id"]) == (500, b"Internal Server Error", "r")
    assert "ValueError: raw" in (tmp_path / "output.log").read_text()
    lines = [log for log in collector.logs if log.body.string_value.startswith("Error handling request")]
    assert "r" in {attributes_of(line.attributes)["correlation.id"] for line in lines}


class Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def in_thread(server: object) -> Iterator[str]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)  # type: ignore[attr-defined]
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    finally:
        server.shutdown()  # type: ignore[attr-defined]
        server.server_close()  # type: ignore[attr-defined]
        thread.join(5)


@pytest.mark.parametrize("kind", ["wsgiref", "werkzeug"])
def test_one_thread_serves_one_request_after_the_other(exported: FakeCollector, kind: str) -> None:
    if kind == "wsgiref":
        server: object = make_server("127.0.0.1", 0, clew.instrument(falcon_shop()), handler_class=Quiet)
    else:
        server = make_werkzeug_server("127.0.0.1", 0, clew.instrument(flask_shop()), threaded=False)
    with in_thread(server) as url:
        answers = [get(f"{url}/{path}") for path in ("orders/1", "stream", "fail/broken", "orders/2")]

    assert [status for status, _, _ in answers] == [200, 200, 500, 200]
    ids = [headers["x-request-id"] for _, headers, _ in answers]
    assert len(set(ids)) == 4
    exported.wait_for(lambda: len(servers(exported)) == 4)
    assert [attributes_of(span.attributes)["correlation.id"] for span in servers(exported)] == ids
    clew.flush()
    lines = {log.body.string_value: log for log in exported.logs}
    assert lines["part 1"].trace_id == servers(exported)[1].trace_id


@pytest.mark.parametrize("debug", [False, True])
def test_flasks_debugger_still_shows_its_page(exported: FakeCollector, debug: bool) -> None:
    from werkzeug.debug import DebuggedApplication

    app = flask_shop()
    app.debug = debug
    served_app = DebuggedApplication(clew.instrument(app), evalex=True)
    with in_thread(make_werkzeug_server("127.0.0.1", 0, served_app)) as url:
        status, _, body = get(f"{url}/fail/broken")

    assert status == 500
    assert (b"Werkzeug Debugger" in body) == debug
    exported.wait_for(lambda: servers(exported))
    assert len(servers(exported)[0].events) == 1
