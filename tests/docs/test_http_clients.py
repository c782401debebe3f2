from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.docs.pages import get, read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector
from tests.servers.processes import free_port


def test_the_pages_job_and_all_that_it_called_are_one_request(tmp_path: Path) -> None:
    page = read_page("frameworks/http-clients.md")
    page.write(tmp_path)
    port = str(free_port())
    app = tmp_path / "app.py"
    app.write_text(app.read_text().replace("8001", port))
    serve = page.command("uvicorn").replace("8001", port)

    with running_collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "NO_PROXY": "127.0.0.1"}
        with running(serve, folder=tmp_path, env=env):
            get(f"http://127.0.0.1:{port}/openapi.json")
            with running(page.command("python app.py"), folder=tmp_path, env=env) as job:
                assert job.wait(30) == 0, (tmp_path / "output.log").read_text()
            spans = collector.wait_for(lambda: complete(collector.spans))

    (root,) = [span for span in spans if span.name == "restock"]
    calls = {span.span_id for span in spans if span.kind == Span.SPAN_KIND_CLIENT}
    served = [span for span in spans if span.kind == Span.SPAN_KIND_SERVER]
    assert {span.parent_span_id for span in served} == calls
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert {attributes_of(span.attributes)["correlation.id"] for span in spans} == {"restock-1"}


def complete(spans: list[Span]) -> list[Span] | None:
    """The request's spans, once its five calls have come from both sides."""
    of_request = [span for span in spans if attributes_of(span.attributes).get("correlation.id") == "restock-1"]
    return of_request if len(of_request) == 11 else None
