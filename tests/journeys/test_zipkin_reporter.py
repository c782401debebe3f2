"""A service that reports with py_zipkin, which knows nothing of clew, is received by value."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.needed_packages import need_package
from tests.server.running_clew import RunningClew, clew_up

need_package("py_zipkin")

# Below what skips without it; it exports without saying so.
from py_zipkin import Encoding, Kind  # type: ignore[attr-defined]  # noqa: E402
from py_zipkin.transport import SimpleHTTPTransport  # noqa: E402
from py_zipkin.zipkin import create_http_headers_for_new_span, zipkin_span  # noqa: E402


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("reporter")) as running:
        yield running


@pytest.mark.parametrize(
    "encoding", [Encoding.V2_JSON, Encoding.V2_PROTO3, Encoding.V1_JSON], ids=lambda each: each.name
)
def test_spans_of_a_real_reporter_come_back_by_value(running: RunningClew, encoding: Encoding) -> None:
    where = urlsplit(running.zipkin_url)
    transport = SimpleHTTPTransport(str(where.hostname), where.port or 0)

    with (
        zipkin_span(
            service_name="orders", span_name="post /checkout", transport_handler=transport, sample_rate=100.0,
            encoding=encoding, kind=Kind.SERVER, binary_annotations={"http.method": "POST"}, port=8080,
        ),
        zipkin_span(service_name="orders", span_name="charge card", kind=Kind.CLIENT) as call,
    ):  # fmt: skip
        call.update_binary_annotations({"error": "declined"})
        call.add_annotation("card read")
        trace_id = str(create_http_headers_for_new_span()["X-B3-TraceId"])

    url = f"{running.dashboard_url}/requests/{trace_id}?format=json"
    form = running.wait_for(lambda: httpx.get(url), lambda answer: answer.is_success).json()
    spans = {span["name"]: span for span in form["spans"]}
    entry, call_form = spans["post /checkout"], spans["charge card"]
    assert (entry["service"], entry["kind"], entry["parent_span_id"]) == ("orders", "server", None)
    assert entry["attributes"]["http.method"] == "POST"
    assert entry["attributes"]["network.local.port"] == 8080
    assert entry["duration_ns"] >= call_form["duration_ns"] > 0
    assert (call_form["kind"], call_form["parent_span_id"]) == ("client", entry["span_id"])
    assert (call_form["status"], call_form["status_message"]) == ("error", "declined")
    assert [event["name"] for event in call_form["events"]] == ["card read"]
