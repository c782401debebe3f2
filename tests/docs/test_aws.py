import uuid
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.docs.messages import follow
from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector

SERVER, CLIENT = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


def test_the_pages_worker_goes_on_in_its_senders_request(tmp_path: Path, aws_url: str) -> None:
    page = read_page("frameworks/sqs-sns.md")
    page.write(tmp_path)
    name = f"orders-{uuid.uuid4().hex[:8]}"
    for file in map(tmp_path.joinpath, page.files):
        code = file.read_text().replace("http://127.0.0.1:5000", aws_url)
        file.write_text(code.replace('QueueName="orders"', f'QueueName="{name}"'))
    exported = page.command("export").split()[1:]

    with running_collector() as collector:
        env = {"CLEW_ENDPOINT": collector.url, "no_proxy": "127.0.0.1", **dict(pair.split("=") for pair in exported)}
        with running(page.command("python worker.py"), folder=tmp_path, env=env) as worker:
            follow(page.command("python app.py"), folder=tmp_path, env=env)
            worker.wait(30)
        spans = [span for span in collector.spans if span.kind != CLIENT]
        lines = {line.body.string_value: attributes_of(line.attributes) for line in collector.logs}

    checkout, sent, processed = sorted(spans, key=lambda span: span.start_time_unix_nano)
    assert [checkout.name, sent.name, processed.name] == ["checkout", f"send {name}", f"process {name}"]
    assert (sent.parent_span_id, processed.parent_span_id) == (checkout.span_id, sent.span_id)
    assert lines["reserved"]["order"] == "17"
    assert {lines[line]["correlation.id"] for line in ("ordered", "reserved")} == {"order-17"}


def test_the_pages_function_answers_with_the_id(tmp_path: Path) -> None:
    page = read_page("frameworks/aws-lambda.md")
    page.write(tmp_path)

    with running_collector() as collector:
        env = {"CLEW_ENDPOINT": collector.url}
        with running(page.command("python app.py"), folder=tmp_path, env=env) as process:
            process.wait(30)
        told = (tmp_path / "output.log").read_text()

    assert "'X-Request-ID': 'order-17'" in told
    (span,) = collector.spans
    assert (span.name, span.kind) == ("POST /orders", SERVER)
    (line,) = collector.logs
    assert attributes_of(line.attributes)["correlation.id"] == "order-17"
    assert line.span_id == span.span_id
