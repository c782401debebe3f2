import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import read_page
from tests.needed_packages import need_package
from tests.server.running_clew import clew, clew_up

need_package("py_zipkin")


def test_the_pages_reporter_is_found_by_both_of_its_ids(tmp_path: Path) -> None:
    page = read_page("receivers/zipkin.md")
    page.write(tmp_path)
    program = tmp_path / "reporter.py"

    with clew_up(tmp_path / "data") as running:
        program.write_text(program.read_text().replace("9411", running.zipkin_url.rpartition(":")[2]))
        _, file = shlex.split(page.command("python reporter.py"))
        done = subprocess.run([sys.executable, file], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        trace_id = done.stdout.strip()
        _, request, correlation_id = page.command("clew request").split()
        printed = running.wait_for(
            lambda: clew(request, correlation_id, "--data", str(running.data)), lambda result: result.returncode == 0
        ).stdout
        by_trace = clew(request, trace_id, "--data", str(running.data)).stdout

    assert re.fullmatch("[0-9a-f]{16}", trace_id)
    assert printed == by_trace
    assert "1 service, 2 spans, 0 logs, 1 error" in printed
    assert printed.index("post /checkout") < printed.index("charge card")
    assert "declined" in printed
