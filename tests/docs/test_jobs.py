from pathlib import Path

from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector


def test_the_pages_job_is_one_request(tmp_path: Path) -> None:
    page = read_page("frameworks/jobs.md")
    page.write(tmp_path)

    with running_collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "NO_PROXY": "127.0.0.1"}
        with running(page.command("python app.py"), folder=tmp_path, env=env) as job:
            assert job.wait(30) == 0, (tmp_path / "output.log").read_text()
        spans = collector.wait_for(lambda: len(collector.spans) == 2 and collector.spans)
        lines = collector.wait_for(lambda: len(collector.logs) == 2 and collector.logs)

    child, root = spans
    assert (child.name, root.name) == ("load-page", "nightly-report")
    assert child.parent_span_id == root.span_id
    assert attributes_of(root.attributes)["pages"] == 1
    ids = {attributes_of(found.attributes)["correlation.id"] for found in (*spans, *lines)}
    assert ids == {"night-2026-03-01"}
