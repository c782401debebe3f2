import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import clew
from clew.logs.stdlib_bridge import ACCESS_LOGGERS
from tests.docs.pages import get, running
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.servers.processes import free_port


async def order(request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok", status_code=int(request.query_params.get("status", 200)))


async def fails(request: Request) -> PlainTextResponse:
    raise KeyError("sku")


def request(path: str) -> None:
    app = clew.instrument(Starlette(routes=[Route("/orders/{id}", order), Route("/fails", fails)]))

    async def get() -> None:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False, client=("10.0.0.7", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            await client.get(path, headers={"X-Request-ID": "req-1"})

    asyncio.run(get())


def access_lines(collector: FakeCollector) -> list[Any]:
    assert clew.flush()
    return [log for log in collector.logs if log.body.string_value.startswith("GET ")]


@pytest.fixture
def logging_clew(collector: FakeCollector) -> FakeCollector:
    clew.configure(
        service="orders", endpoint=collector.url, log_format="json", access_log=True, excluded_urls=["^/orders/health$"]
    )
    return collector


@pytest.fixture
def server_logs() -> Iterator[list[str]]:
    """What the servers' own access loggers write."""
    written: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(record.name)

    loggers = [logging.getLogger(name) for name in ACCESS_LOGGERS]
    handler = Keep()
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield written
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def test_each_request_is_one_line_without_its_query(
    logging_clew: FakeCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    request("/orders/7?token=abc")

    (log,) = access_lines(logging_clew)
    attributes = attributes_of(log.attributes)
    written = capsys.readouterr().err
    (line,) = [json.loads(line) for line in written.splitlines() if "clew.access" in line]
    assert log.body.string_value == line["event"] == "GET /orders/7 200"
    assert log.severity_text == "INFO"
    assert 0 < attributes.pop("duration_ms") < 10_000
    assert attributes == {
        "http.request.method": "GET",
        "url.path": "/orders/7",
        "http.route": "/orders/{id}",
        "http.response.status_code": 200,
        "client.address": "10.0.0.7",
        "correlation.id": "req-1",
    }
    assert line["logger"] == "clew.access"
    assert line["correlation_id"] == "req-1"
    assert line["trace_id"] == log.trace_id.hex()
    server_spans = [span for span in logging_clew.spans if span.span_id == log.span_id]
    assert server_spans[0].name == "GET /orders/{id}"
    assert "abc" not in written


@pytest.mark.parametrize(
    ("path", "level", "status"), [("/orders/7?status=404", "INFO", 404), ("/orders/7?status=503", "ERROR", 503)]
)
def test_a_servers_failure_is_an_error(logging_clew: FakeCollector, path: str, level: str, status: int) -> None:
    request(path)

    (log,) = access_lines(logging_clew)
    assert log.severity_text == level
    assert attributes_of(log.attributes)["http.response.status_code"] == status


def test_an_exception_is_an_error_with_its_type(logging_clew: FakeCollector) -> None:
    request("/fails")

    (log,) = access_lines(logging_clew)
    assert log.severity_text == "ERROR"
    assert attributes_of(log.attributes)["error.type"] == "KeyError"


def test_excluded_paths_have_no_line(logging_clew: FakeCollector) -> None:
    request("/orders/health")

    assert access_lines(logging_clew) == []


def test_the_servers_own_lines_are_silent_while_it_is_on(logging_clew: FakeCollector, server_logs: list[str]) -> None:
    for name in ACCESS_LOGGERS:
        logging.getLogger(name).info("GET /orders/7 by the server")

    assert server_logs == []
    assert access_lines(logging_clew) == []


def test_when_off_nothing_changes(collector: FakeCollector, server_logs: list[str]) -> None:
    clew.configure(service="orders", endpoint=collector.url, log_format="json")

    request("/orders/7")
    logging.getLogger("uvicorn.access").info("GET /orders/7 by the server")

    assert server_logs == ["uvicorn.access"]
    assert [log.body.string_value for log in access_lines(collector)] == ["GET /orders/7 by the server"]


def test_the_level_is_honoured_and_none_writes_nothing(
    collector: FakeCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    clew.configure(service="orders", endpoint=collector.url, log_format="none", access_log=True, log_level="error")

    request("/orders/7")
    request("/orders/7?status=500")

    assert [log.body.string_value for log in access_lines(collector)] == ["GET /orders/7 500"]
    assert "clew.access" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "uvicorn app:app --port {port}",
        "hypercorn app:app -b 127.0.0.1:{port} --access-logfile -",
        "granian --interface asgi app:app --port {port} --access-log",
        "gunicorn app:app -k uvicorn.workers.UvicornWorker -b 127.0.0.1:{port} --access-logfile -",
    ],
)
def test_under_a_real_server_a_request_is_one_line(collector: FakeCollector, tmp_path: Path, command: str) -> None:
    (tmp_path / "app.py").write_text(
        "import clew\nfrom starlette.applications import Starlette\n"
        "clew.configure(service='orders', log_format='json', access_log=True)\napp = clew.instrument(Starlette())\n"
    )
    port = free_port()

    with running(command.format(port=port), folder=tmp_path, env={"CLEW_ENDPOINT": collector.url}):
        get(f"http://127.0.0.1:{port}/some-path")
        collector.wait_for(lambda: "GET /some-path 404" in [log.body.string_value for log in collector.logs])

    assert (tmp_path / "output.log").read_text().count("GET /some-path") == 1
    assert len([log for log in collector.logs if "some-path" in log.body.string_value]) == 1
