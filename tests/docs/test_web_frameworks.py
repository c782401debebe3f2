from pathlib import Path

import pytest

from tests.docs.pages import DOCS, get, read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector
from tests.servers.processes import free_port

COMMANDS = (
    ("fastapi.md", "uvicorn", "/orders/{id}"),
    ("starlette.md", "uvicorn", "/orders/{id:int}"),
    ("litestar.md", "uvicorn", "/orders/{id}"),
    ("quart.md", "hypercorn", "/orders/<int:id>"),
    ("flask.md", "gunicorn", "/orders/<int:id>"),
    ("falcon.md", "gunicorn", "/orders/{id:int}"),
    ("django.md", "python -m django runserver", "/orders/<int:id>"),
    ("django.md", "gunicorn", "/orders/<int:id>"),
    ("django.md", "uvicorn", "/orders/<int:id>"),
)


@pytest.mark.parametrize(("name", "command", "route"), COMMANDS)
def test_the_pages_program_does_what_the_page_says(tmp_path: Path, name: str, command: str, route: str) -> None:
    page = read_page(f"frameworks/{name}")
    page.write(tmp_path)
    port = str(free_port())
    run = page.command(command).replace("8000", port)

    with running_collector() as collector:
        with running(run, folder=tmp_path, env={"CLEW_ENDPOINT": collector.url}):
            status, headers, body = get(f"http://127.0.0.1:{port}/orders/17", {"X-Request-ID": "my-first-request"})
            collector.wait_for(lambda: collector.spans and collector.logs)

        (span,) = [span for span in collector.spans if span.name == f"GET {route}"]
        (line,) = [log for log in collector.logs if log.body.string_value == "order 17 is late"]

    assert (status, headers["x-request-id"]) == (200, "my-first-request")
    assert body.replace(b" ", b"").strip() == b'{"id":17}'
    assert line.trace_id == span.trace_id
    assert attributes_of(line.attributes)["correlation.id"] == "my-first-request"
    (printed,) = [text for text in (tmp_path / "output.log").read_text().splitlines() if "order 17 is late" in text]
    assert "my-first-request" in printed


def test_the_index_names_every_page() -> None:
    index = (DOCS / "frameworks" / "README.md").read_text()
    pages = {path.name for path in (DOCS / "frameworks").glob("*.md")} - {"README.md"}

    assert {name for name in pages if f"({name})" not in index} == set()
