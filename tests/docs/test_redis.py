import uuid
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, running_collector


def test_the_pages_worker_goes_on_in_the_senders_request(tmp_path: Path, redis_url: str) -> None:
    page = read_page("frameworks/redis.md")
    name = uuid.uuid4().hex[:8]
    folders = [tmp_path / "worker", tmp_path / "app"]
    for folder in folders:
        folder.mkdir()
        page.write(folder)
        for path in folder.glob("*.py"):
            code = path.read_text().replace("redis://127.0.0.1:6379", redis_url)
            path.write_text(code.replace('"orders"', f'"orders-{name}"').replace('"mails"', f'"mails-{name}"'))

    with running_collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "NO_PROXY": "127.0.0.1"}
        with (
            running(page.command("python worker.py"), folder=folders[0], env=env) as worker,
            running(page.command("python app.py"), folder=folders[1], env=env) as sender,
        ):
            assert sender.wait(30) == 0, (folders[1] / "output.log").read_text()
            assert worker.wait(30) == 0, (folders[0] / "output.log").read_text()
            spans = collector.wait_for(lambda: complete(collector))
            lines = {line.body.string_value: attributes_of(line.attributes) for line in collector.logs}

    by_name = {span.name.replace(f"-{name}", ""): span for span in spans}
    root = by_name["checkout"]
    assert by_name["process orders"].parent_span_id == by_name["xadd orders"].span_id
    assert by_name["process mails"].parent_span_id == by_name["xadd orders"].parent_span_id == root.span_id
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert lines.keys() == {"ordered", "reserved", "mailed"}
    assert {fields["correlation.id"] for fields in lines.values()} == {"order-17"}
    assert lines["reserved"]["order"] == "17"
    assert "traceparent" not in lines["reserved"]


def complete(collector: FakeCollector) -> list[Span] | None:
    """The request's spans about messages, once all have come."""
    spans = [span for span in collector.spans if attributes_of(span.attributes).get("correlation.id") == "order-17"]
    spans = [span for span in spans if span.kind != Span.SPAN_KIND_CLIENT]
    return spans if len(spans) == 4 and len(collector.logs) == 3 else None
