from pathlib import Path

from tests.docs.pages import read_page, running
from tests.servers.processes import free_port


def test_the_pages_test_passes_over_its_service(tmp_path: Path) -> None:
    page = read_page("frameworks/testing.md")
    page.write(tmp_path)
    port = str(free_port())
    for name in page.files:
        file = tmp_path / name
        file.write_text(file.read_text().replace("8000", port))

    with running(page.command("pytest"), folder=tmp_path, env={}) as process:
        process.wait(60)
        told = (tmp_path / "output.log").read_text()

    assert process.returncode == 0, told
    assert "1 passed" in told
