from pathlib import Path

from tests.docs.pages import get, read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector
from tests.servers.processes import free_port


def test_the_pages_server_follows_a_request_in_its_workers(tmp_path: Path) -> None:
    page = read_page("frameworks/servers.md")
    page.write(tmp_path)
    port = str(free_port())

    with running_collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        with running(page.command("uvicorn").replace("8000", port), folder=tmp_path, env=env):
            _, headers, body = get(f"http://127.0.0.1:{port}/orders/17", {"X-Request-ID": "order-17"})
            spans = collector.wait_for(lambda: collector.spans)
            lines = collector.wait_for(
                lambda: [log for log in collector.logs if log.body.string_value == "looked order 17 up"]
            )

    assert (headers["x-request-id"], body) == ("order-17", b'{"number":17}')
    assert attributes_of(spans[0].attributes)["correlation.id"] == "order-17"
    assert lines[0].trace_id == spans[0].trace_id
