"""The page on `clew import`: each of its examples is imported and holds what the page says."""

import re
import time
from pathlib import Path

import httpx
import pytest

from tests.collector.zipkin_builders import TRACE, a_span
from tests.docs.pages import DOCS, blocks, read_page
from tests.docs.programs import run
from tests.server.running_clew import clew
from tests.waiting import wait_until

ROOT = DOCS.parent
PAGE = "how-to/import.md"
ROWS = re.findall(r"^\| (.+?) \| `clew import (\S+)` \| ([\d,]+) (log|span)s? \|$", (DOCS / PAGE).read_text(), re.M)


def test_each_kind_that_the_page_names_has_its_example() -> None:
    kinds = [kind.partition(",")[0] for kind, *_ in ROWS]

    assert set(kinds) == {"OTLP", "Zipkin", "Jaeger", "JSON log lines"}
    assert set(re.findall(r"^\*\*(.+?)\.\*\*", (DOCS / PAGE).read_text(), re.M)) == set(kinds)


@pytest.mark.parametrize(("kind", "file", "count", "signal"), ROWS, ids=[f"{row[0]} of {row[1]}" for row in ROWS])
def test_the_pages_example_holds_what_the_page_says(
    tmp_path: Path, kind: str, file: str, count: str, signal: str
) -> None:
    [lines] = blocks(PAGE, "json")
    (tmp_path / "lines.jsonl").write_text(lines)
    path = tmp_path / file if file == "lines.jsonl" else ROOT / file

    done = clew("import", str(path), "--data", str(tmp_path / "data"))

    logs, spans = (count, "0") if signal == "log" else ("0", count)
    assert done.returncode == 0, done.stderr
    assert f"took {logs} log records and {spans} spans ({kind.partition(',')[0]})" in done.stderr


def test_the_pages_log_lines_are_one_request(tmp_path: Path) -> None:
    [lines] = blocks(PAGE, "json")
    (tmp_path / "lines.jsonl").write_text(lines)
    clew("import", str(tmp_path / "lines.jsonl"), "--data", str(tmp_path))

    printed = clew("request", "order-17", "--data", str(tmp_path)).stdout

    assert "2 services, 0 spans, 2 logs, 1 error" in printed
    assert "order taken" in printed


def test_what_the_page_asks_a_zipkin_for_can_be_imported(tmp_path: Path, zipkin_url: str) -> None:
    span = a_span(timestamp=time.time_ns() // 1_000)
    httpx.post(f"{zipkin_url}/api/v2/spans", json=[span]).raise_for_status()
    command = read_page(PAGE).command("curl -o zipkin.json").replace("http://127.0.0.1:9411", zipkin_url)

    def asked() -> bool:
        run(command, folder=tmp_path)
        return TRACE.lstrip("0") in (tmp_path / "zipkin.json").read_text()

    wait_until(asked)
    done = clew("import", str(tmp_path / "zipkin.json"), "--data", str(tmp_path / "data"))

    assert done.returncode == 0, done.stderr
    assert TRACE.lstrip("0") in clew("request", TRACE, "--data", str(tmp_path / "data")).stdout
