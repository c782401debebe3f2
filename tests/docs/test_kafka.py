import uuid
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, running_collector


def test_the_pages_reader_goes_on_in_the_senders_request(tmp_path: Path, kafka_url: str) -> None:
    page = read_page("frameworks/kafka.md")
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    folders = [tmp_path / "stock", tmp_path / "orders"]
    for folder in folders:
        folder.mkdir()
        page.write(folder)
        for path in folder.glob("*.py"):
            path.write_text(path.read_text().replace("127.0.0.1:9092", kafka_url).replace('"orders"', f'"{topic}"'))

    with running_collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "NO_PROXY": "127.0.0.1"}
        with running(page.command("python orders.py"), folder=folders[1], env=env) as sender:
            assert sender.wait(30) == 0, (folders[1] / "output.log").read_text()
        with running(page.command("python stock.py"), folder=folders[0], env=env):
            spans = collector.wait_for(lambda: complete(collector))
            lines = {line.body.string_value: attributes_of(line.attributes) for line in collector.logs}

    root, sent, processed = spans
    assert [span.name for span in spans] == ["checkout", f"produce {topic}", f"process {topic}"]
    assert (sent.parent_span_id, processed.parent_span_id) == (root.span_id, sent.span_id)
    assert [link.span_id for link in processed.links] == [sent.span_id]
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert {name: fields["correlation.id"] for name, fields in lines.items()} == {
        "ordered": "order-17",
        "reserved": "order-17",
    }


def complete(collector: FakeCollector) -> list[Span] | None:
    """The request's spans in their order, once both sides have told of it."""
    spans = [span for span in collector.spans if attributes_of(span.attributes).get("correlation.id") == "order-17"]
    is_all = len(spans) == 3 and len(collector.logs) == 2
    return sorted(spans, key=lambda span: span.start_time_unix_nano) if is_all else None
