import json
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector

PAGE = "frameworks/logging.md"


def test_the_pages_lines_are_one_request_without_secrets(tmp_path: Path) -> None:
    page = read_page(PAGE)
    page.write(tmp_path)

    with running_collector() as collector:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "NO_PROXY": "127.0.0.1"}
        with running(page.command("python app.py"), folder=tmp_path, env=env) as job:
            assert job.wait(30) == 0, (tmp_path / "output.log").read_text()
        logs = collector.wait_for(lambda: len(collector.logs) == 3 and collector.logs)

    written = (tmp_path / "output.log").read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["event"] for line in lines] == ["order accepted", "card REDACTED refused", "stock counted"]
    assert {line["correlation_id"] for line in lines} == {"night-1"}
    assert {log.trace_id.hex() for log in logs} == {line["trace_id"] for line in lines}
    assert {attributes_of(log.attributes)["correlation.id"] for log in logs} == {"night-1"}
    assert "hunter2" not in written + str(logs)
    assert "4111" not in written + str(logs)


def test_the_page_shows_a_line_as_it_is(tmp_path: Path) -> None:
    shown = json.loads((DOCS / PAGE).read_text().partition("```json\n")[2].partition("\n```")[0])

    assert list(shown)[:7] == ["timestamp", "level", "event", "logger", "correlation_id", "trace_id", "span_id"]


@pytest.mark.parametrize("pattern", ["{time:%H:%M:%S} {level:<8} {correlation_id} {message} {fields}", "{trace_id:.8}"])
def test_the_pages_patterns_work(pattern: str) -> None:
    from clew.logs.formats.pattern import Pattern

    assert pattern in (DOCS / PAGE).read_text()
    Pattern(pattern)
