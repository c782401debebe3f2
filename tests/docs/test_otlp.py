"""The page's sender, as it is written there, is received."""

import shlex
import subprocess
import sys
from pathlib import Path

from tests.collector.receivers.otlp_intake import otlp_intake
from tests.docs.pages import read_page

TIMEOUT_S = 60


def test_the_pages_sender_is_received(tmp_path: Path) -> None:
    page = read_page("receivers/otlp.md")
    page.write(tmp_path)
    program = tmp_path / "sender.py"

    with otlp_intake() as intake:
        program.write_text(program.read_text().replace("127.0.0.1:4317", intake.grpc_address))
        _, file = shlex.split(page.command("python sender.py"))
        done = subprocess.run([sys.executable, file], cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT_S)

    assert done.returncode == 0, done.stderr
    [span] = intake.spans
    _, _, correlation_id = page.command("clew request").split()
    assert span.name == "checkout"
    assert [attribute.value.string_value for attribute in span.attributes] == [correlation_id]
