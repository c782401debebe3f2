import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import get, read_page, running
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, running_collector
from tests.instrumentation.workers.fleet import environment
from tests.servers.processes import free_port

PAGE = "how-to/zero-code.md"

FLASK = """
import logging
from flask import Flask
app = Flask(__name__)

@app.get("/orders/<int:number>")
def order(number):
    logging.getLogger("shop").warning("looked order %d up", number)
    return {"number": number}
"""

DJANGO = """
import logging, sys
from django.conf import settings
from django.core.management import execute_from_command_line
from django.http import JsonResponse
from django.urls import path

def order(request, number):
    logging.getLogger("shop").warning("looked order %d up", number)
    return JsonResponse({"number": number})

urlpatterns = [path("orders/<int:number>", order)]
settings.configure(DEBUG=True, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="s")
if __name__ == "__main__":
    execute_from_command_line(sys.argv)
"""

COMMANDS = {
    "uvicorn, two workers": "clew run --service orders -- uvicorn app:app --port PORT --workers 2",
    "uvicorn, reloading": "clew run --service orders -- uvicorn app:app --port PORT --reload",
    "hypercorn": "clew run --service orders -- hypercorn app:app --bind 127.0.0.1:PORT",
    "gunicorn": "clew run --service orders -- gunicorn shop:app --bind 127.0.0.1:PORT -w 2 --no-control-socket",
    "gunicorn, preloading": "clew run --service orders -- gunicorn shop:app --bind 127.0.0.1:PORT --preload",
    "gunicorn, gevent": "clew run --service orders -- gunicorn shop:app --bind 127.0.0.1:PORT -k gevent",
    "uwsgi": "clew run --service orders -- uwsgi --http-socket 127.0.0.1:PORT --module shop:app --master --die-on-term",
    "flask": "clew run --service orders -- flask --app shop run --port PORT",
    "flask, reloading": "clew run --service orders -- flask --app shop run --port PORT --debug",
    "django": "clew run --service orders -- python manage.py runserver 127.0.0.1:PORT",
}


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    with running_collector() as collector:
        yield collector


def followed(command: str, port: str, folder: Path, collector: FakeCollector) -> None:
    """A request to the server of a command, with its line, is at the collector under its caller's ID."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "CLEW_BATCH_DELAY_S": "0.1"}
    with running(command, folder=folder, env=env):
        _, headers, body = get(f"http://127.0.0.1:{port}/orders/17", {"X-Request-ID": "order-17"})
        spans = collector.wait_for(lambda: requests(collector))
        lines = collector.wait_for(
            lambda: [log for log in collector.logs if log.body.string_value == "looked order 17 up"]
        )

    assert (headers["x-request-id"], json.loads(body)) == ("order-17", {"number": 17})
    assert len(spans) == 1
    assert lines[0].trace_id == spans[0].trace_id
    resource = collector.trace_requests[0].resource_spans[0].resource
    assert attributes_of(resource.attributes)["service.name"] == "orders"


def requests(collector: FakeCollector) -> list[object]:
    return [span for span in collector.spans if attributes_of(span.attributes).get("correlation.id") == "order-17"]


def test_the_pages_server_is_followed_without_a_line_of_code(collector: FakeCollector, tmp_path: Path) -> None:
    page = read_page(PAGE)
    page.write(tmp_path)
    port = str(free_port())

    followed(page.command("clew run --service orders -- uvicorn").replace("8000", port), port, tmp_path, collector)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_commands_that_the_page_names_are_followed(collector: FakeCollector, tmp_path: Path, command: str) -> None:
    if "uwsgi" in command and shutil.which("uwsgi", path=environment({})["PATH"]) is None:
        pytest.skip("uWSGI is compiled on the spot, and did not install")
    read_page(PAGE).write(tmp_path)
    (tmp_path / "shop.py").write_text(FLASK)
    (tmp_path / "manage.py").write_text(DJANGO)
    port = str(free_port())

    followed(command.replace("PORT", port), port, tmp_path, collector)


def test_the_pages_command_with_settings_runs(tmp_path: Path) -> None:
    command = read_page(PAGE).command("clew run --service orders --endpoint")

    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment({}), check=True)

    assert done.stdout == "done\n", (sys.executable, done.stderr)
