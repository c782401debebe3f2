"""Lines of the loggers and servers that are about: what each says is found where it says it."""

import gzip
import json
import logging
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew_collector.wire.lines.formats import Format
from clew_collector.wire.lines.otlp import LinesRequest, Origin
from clew_collector.wire.otlp.payload import decode
from clew_demo.warehouse.logs import LINE
from tests.collector.wire.lines.reading import SPAN, TRACE, ns, read

DATA = Path(__file__).parents[3] / "data"
FORMATS: tuple[Format, ...] = ("auto", "json", "logfmt", "nginx", "apache", "plain")

JSON = {
    "structlog": (
        f'{{"event":"no stock","level":"error","timestamp":"2026-01-02T03:04:05.678Z","logger":"orders","order":7,'
        f'"trace_id":"{TRACE}","span_id":"{SPAN}","correlation_id":"req-1","exception":"Traceback: x"}}'
    ),
    "ECS, dotted": (
        f'{{"@timestamp":"2026-01-02T03:04:05.678Z","log.level":"ERROR","message":"no stock","ecs.version":"8.11",'
        f'"log.logger":"orders","trace.id":"{TRACE}","span.id":"{SPAN}","http.request.id":"req-1","order":7,'
        f'"error.stack_trace":"Traceback: x"}}'
    ),
    "ECS, nested": (
        f'{{"@timestamp":"2026-01-02T03:04:05.678Z","log":{{"level":"error","logger":"orders"}},"message":"no stock",'
        f'"trace":{{"id":"{TRACE}"}},"span":{{"id":"{SPAN}"}},"http":{{"request":{{"id":"req-1"}}}},"order":7,'
        f'"error":{{"stack_trace":"Traceback: x"}}}}'
    ),
    "python-json-logger": (
        f'{{"asctime":"2026-01-02 04:04:05,678","levelname":"ERROR","name":"orders","message":"no stock","order":7,'
        f'"traceId":"{TRACE}","spanId":"{SPAN}","requestId":"req-1","exc_info":"Traceback: x"}}'
    ),
    "zap": (
        f'{{"level":"error","ts":1767323045.678,"logger":"orders","msg":"no stock","order":7,'
        f'"trace_id":"{TRACE}","span_id":"{SPAN}","request_id":"req-1","stacktrace":"Traceback: x"}}'
    ),
}


@pytest.mark.parametrize("logger", JSON)
def test_json_of_a_logger_is_read_by_its_names(logger: str) -> None:
    line = read(JSON[logger])

    assert (line.body, line.time_ns, line.logger) == ("no stock", ns("2026-01-02T03:04:05.678+00:00"), "orders")
    assert (line.severity_number, line.severity_text.lower()) == (17, "error")
    assert (line.ids.trace_id.hex(), line.ids.span_id.hex(), line.ids.correlation_id) == (TRACE, SPAN, "req-1")
    line.attributes.pop("ecs.version", None)
    assert line.attributes == {"order": 7, "exception.stacktrace": "Traceback: x"}


@pytest.mark.parametrize(("level", "number"), [(10, 1), (20, 5), (30, 9), (40, 13), (50, 17), (60, 21), (35, 9)])
def test_pino_and_bunyan_number_their_levels_and_name_the_service(level: int, number: int) -> None:
    line = read(
        json.dumps({"level": level, "time": 1767323045678, "pid": 1, "hostname": "h", "name": "orders", "msg": "x"})
    )

    assert (line.severity_number, line.service, line.time_ns) == (number, "orders", ns("2026-01-02T03:04:05.678+00:00"))


def test_json_that_python_writes_and_nobody_else_reads_is_read() -> None:
    line = read('{"message":"x","ratio":NaN,"name_of_file":"\\udc80","big":99999999999999999999}')

    assert line.body == "x"
    assert line.attributes == {"ratio": "NaN", "name_of_file": "\\udc80", "big": 1e20}


def test_json_without_a_message_is_its_own_body_and_what_cannot_be_read_stays() -> None:
    text = '{"level":"loud","time":"noon","request_id":"-","list":[1,{"a":[]}],"deep":{"a":{}}}'
    line = read(text)

    assert (line.body, line.time_ns, line.severity_number, line.ids.correlation_id) == (text, None, 0, "")
    assert line.attributes == {"level": "loud", "time": "noon", "request_id": "-", "list": [1, {"a": []}], "deep.a": {}}


@pytest.mark.parametrize("text", ["{", '{"a":', "[1]", "{}x", '{"a":1} {"b":2}', '{"a":' * 300 + "1" + "}" * 300])
def test_what_is_no_json_object_is_text(text: str) -> None:
    line = read(text, "json")

    assert (line.body, line.attributes) == (text, {})


def test_logfmt_is_read_by_the_same_names() -> None:
    line = read(f'time=2026-01-02T03:04:05Z level=warn msg="say \\"no\\"" order=007 dry trace_id={TRACE} request_id=r1')

    assert (line.body, line.severity_number, line.time_ns) == ('say "no"', 13, ns("2026-01-02T03:04:05+00:00"))
    assert line.attributes == {"order": "007", "dry": True}
    assert (line.ids.trace_id.hex(), line.ids.correlation_id) == (TRACE, "r1")


def test_odd_logfmt_is_read_as_far_as_it_goes() -> None:
    for text in map(json.loads, (DATA / "logfmt" / "go-logfmt-inputs.ndjson").read_text().splitlines()):
        assert read(text, "logfmt").body == text


@pytest.mark.parametrize("text", ["order=7 was lost", "what a=1 b=2", "x = 1 y = 2", "https://a?b=1&c=2 d"])
def test_a_sentence_with_an_equals_sign_is_no_logfmt(text: str) -> None:
    assert read(text).attributes == {}


def test_a_combined_access_log_becomes_http_attributes() -> None:
    text = (
        'shop.example:443 192.0.2.7 - ann [02/Jan/2026:04:04:05 +0100] "POST /pay?id=1 HTTP/1.1" 502 17 '
        '"https://shop/" "curl/8 \\"x\\" request_id=forged" "-" request_id=req-1'
    )
    line = read(text)

    assert (line.body, line.time_ns, line.severity_number) == (text, ns("2026-01-02T03:04:05+00:00"), 17)
    assert line.ids.correlation_id == "req-1"
    assert line.attributes == {
        "client.address": "192.0.2.7",
        "server.address": "shop.example",
        "user.name": "ann",
        "http.request.method": "POST",
        "url.path": "/pay",
        "url.query": "id=1",
        "network.protocol.version": "1.1",
        "http.response.status_code": 502,
        "http.response.body.size": 17,
        "http.request.header.referer": ["https://shop/"],
        "user_agent.original": 'curl/8 \\"x\\" request_id=forged',
    }


@pytest.mark.parametrize("request_line", ["-", "", "\\x16\\x03", "GET", "* *"])
def test_a_request_that_is_none_leaves_the_rest_of_its_line(request_line: str) -> None:
    line = read(f'::1 - - [02/Jan/2026:04:04:05 +0100] "{request_line}" 400 -', "nginx")

    assert line.attributes == {"client.address": "::1", "http.response.status_code": 400}


def test_a_thousand_real_access_lines_are_all_read() -> None:
    lines = gzip.decompress((DATA / "elastic" / "apache_access_1k.log.gz").read_bytes()).decode().splitlines()

    assert sum("http.response.status_code" in read(line).attributes for line in lines) == len(lines) == 1_000


@pytest.mark.parametrize(("name", "levels"), [("auth.log", False), ("kafka_controller.log", True)])
def test_real_lines_of_text_have_their_time_and_level(name: str, levels: bool) -> None:
    lines = gzip.decompress((DATA / "elastic" / f"{name}.gz").read_bytes()).decode().splitlines()
    stamped = [line for line in lines if line[:1] in "[MAJ"]

    decoded = [read(line) for line in stamped]

    assert len(stamped) > 0.7 * len(lines)
    assert all(line.time_ns for line in decoded)
    assert all(line.severity_number for line in decoded) or not levels


def test_error_logs_of_nginx_and_apache_are_read() -> None:
    nginx = read(
        '2026/01/02 04:04:05 [error] 12#13: *5 open() "/x" failed (2: No such file), client: 192.0.2.7, '
        'server: shop, request: "GET /x HTTP/1.1", host: "h"'
    )
    apache = read("[Fri Jan 02 04:04:05.678901 2026] [core:warn] [pid 12:tid 34] [client 192.0.2.7:56] AH1: x")

    assert (nginx.severity_number, nginx.time_ns) == (17, ns("2026-01-02T03:04:05+00:00"))
    assert (apache.severity_number, apache.time_ns) == (13, ns("2026-01-02T03:04:05.678901+00:00"))
    assert nginx.attributes["http.request.method"] == "GET"
    assert nginx.attributes["client.address"] == apache.attributes["client.address"] == "192.0.2.7"
    assert nginx.attributes["process.pid"] == apache.attributes["process.pid"] == 12


TIMES = [
    "2026-01-02T03:04:05.678Z",
    "2026-01-02T04:04:05.678000999+01:00",
    "2026-01-02 04:04:05,678",
    "[2026-01-02 04:04:05.678]",
    "2026/01/02 04:04:05.678",
    "2026-01-02 03:04:05.678 UTC",
    "2026-01-02 03:04:05.678 +0000",
    "1767323045.678",
    "1767323045678",
    "Jan  2 04:04:05.678",
]


@pytest.mark.parametrize("text", TIMES)
def test_a_line_begins_with_a_time(text: str) -> None:
    found = read(f"{text} INFO hello").time_ns

    assert found is not None
    assert found // 10**6 == ns("2026-01-02T03:04:05.678+00:00") // 10**6


@pytest.mark.parametrize(
    "text", ["2026-13-40 25:61:61 x", "1234 x", "9999-01-01T00:00:00Z x", "12345678901 x", "Max 2 04:04:05 x"]
)
def test_what_is_no_time_is_text(text: str) -> None:
    assert (read(text).time_ns, read(text).body) == (None, text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("2026-01-02T03:04:05.678Z  WARN 12 --- [main] c.e.App : x", 13),
        ("2026-01-02 03:04:05.678 [main] DEBUG c.e.App - x", 5),
        ("CRITICAL:root:x", 21),
        ("INFO:     127.0.0.1:1 - x", 9),
        ("[error] x", 17),
        ("error: x", 17),
        ("x y level=warning z", 13),
        ("2026-01-02 03:04:05 | SUCCESS | x", 0),
        ("Information for all", 0),
        ("the ERRORS of others", 0),
        ("all is in order", 0),
    ],
)
def test_a_level_is_found_where_loggers_write_it(text: str, number: int) -> None:
    assert read(text).severity_number == number


@pytest.mark.parametrize(
    "ids",
    [
        f"trace_id={TRACE} span_id={SPAN}",
        f"[traceId={TRACE}, spanId={SPAN}]",
        f"[orders,{TRACE},{SPAN}]",
        f"[{TRACE}-{SPAN}]",
    ],
)
def test_ids_are_found_in_text_unless_not_asked_for(ids: str) -> None:
    text = f"2026-01-02T03:04:05.678Z  WARN {ids} stock is low"

    assert (read(text).ids.trace_id.hex(), read(text).ids.span_id.hex()) == (TRACE, SPAN)
    assert read(text, ids_in_text=False).ids.trace_id == b""


def test_a_line_as_the_demos_warehouse_writes_it_has_time_level_and_ids() -> None:
    log = logging.LogRecord("picks", logging.INFO, "", 0, "picked order=%s lines=%d", ("o-1", 2), None)
    log.created, log.msecs, log.threadName = 1767323045.678, 678.0, "http-3"
    log.request_id, log.trace = "req-1", TRACE
    formatter = logging.Formatter(LINE)
    formatter.converter = lambda seconds: time.gmtime(3600 + (seconds or 0))

    line = read(formatter.format(log))

    assert (line.time_ns, line.severity_number) == (ns("2026-01-02T03:04:05.678+00:00"), 9)
    assert (line.ids.correlation_id, line.ids.trace_id.hex()) == ("req-1", TRACE)
    assert line.attributes == {}


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """A readable line with a few characters changed, cut or repeated."""
    access = 'h 1.2.3.4 - - [02/Jan/2026:04:04:05 +0100] "GET / HTTP/1.1" 200 1 "-" "x"'
    line = draw(st.sampled_from([*JSON.values(), access, *TIMES, f"level=info a={TRACE} b=2"]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(line)))
        line = line[:at] + draw(st.text(max_size=3)) + line[at + draw(st.integers(0, 3)) :]
    return line


@settings(max_examples=400, deadline=None)
@given(
    text=st.text(max_size=80) | mutated() | st.binary(max_size=60).map(lambda b: b.decode(errors="backslashreplace"))
)
def test_any_text_becomes_a_record_in_every_format(text: str) -> None:
    request = LinesRequest()
    for format in FORMATS:
        request.add(read(text, format), Origin(path="/a", name="a", service="s", attributes={}), received_ns=1)

    assert decode("logs", [request.message.SerializeToString()]).num_rows == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@settings(max_examples=400, deadline=None)
@given(content=st.dictionaries(st.sampled_from(["level", "time", "msg", "trace_id", "log", "name", "x"]), json_values))
def test_any_json_object_becomes_a_record(content: object) -> None:
    request = LinesRequest()
    line = read(json.dumps(content), "json")
    request.add(line, Origin(path="/a", name="a", service="s", attributes={}), received_ns=1)

    assert decode("logs", [request.message.SerializeToString()]).num_rows == 1
