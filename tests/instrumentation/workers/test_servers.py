"""Every worker of every server exports, and what it has finished is at the collector after it has ended.

The batch delay is longer than any of this takes: what arrives was sent at the end.
"""

import os
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.instrumentation.fake_collector import FakeCollector, attributes_of, running_collector
from tests.instrumentation.workers.fleet import Plan, Served, environment, serve_all

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

NEVER = {"CLEW_BATCH_DELAY_S": "60"}
GUNICORN = "gunicorn --bind 127.0.0.1:PORT --no-control-socket --graceful-timeout 10"
UWSGI = "uwsgi --http-socket 127.0.0.1:PORT --wsgi-file wsgi_app.py --need-app --master"
# A worker that is in the middle of a request when the signal comes is ended by uWSGI without any hook.
UWSGI_LINE = "GET /NUMBER =>"


def reload_workers(pid: int) -> None:
    os.kill(pid, signal.SIGHUP)


PLANS = {
    "script": Plan("python wsgi_app.py PORT"),
    "script-int": Plan("python wsgi_app.py PORT", ends_by=signal.SIGINT),
    "uvicorn": Plan("uvicorn asgi_app:app --port PORT --workers 2", 2),
    "uvicorn-int": Plan("uvicorn asgi_app:app --port PORT", ends_by=signal.SIGINT),
    "uvicorn-hup": Plan("uvicorn asgi_app:app --port PORT --workers 2", 2, then=reload_workers),
    "uvicorn-reload": Plan("uvicorn asgi_app:app --port PORT --reload"),
    "uvicorn-no-lifespan": Plan("uvicorn asgi_app:app --port PORT --lifespan off"),
    "uvicorn-wsgi": Plan("uvicorn wsgi_app:app --port PORT --interface wsgi"),
    "hypercorn": Plan("hypercorn asgi_app:app --bind 127.0.0.1:PORT --workers 2", 2),
    "hypercorn-int": Plan("hypercorn asgi_app:app --bind 127.0.0.1:PORT --workers 2", 2, signal.SIGINT),
    "hypercorn-wsgi": Plan("hypercorn wsgi:wsgi_app:app --bind 127.0.0.1:PORT --workers 1"),
    "granian": Plan("granian asgi_app:app --interface asgi --port PORT --workers 2", 2),
    "granian-int": Plan("granian asgi_app:app --interface asgi --port PORT --workers 2", 2, signal.SIGINT),
    "granian-no-lifespan": Plan("granian asgi_app:app --interface asginl --port PORT"),
    "granian-wsgi": Plan("granian wsgi_app:app --interface wsgi --port PORT --workers 2", 2),
    "gunicorn": Plan(f"{GUNICORN} -w 2 wsgi_app:app", 2),
    "gunicorn-int": Plan(f"{GUNICORN} -w 2 wsgi_app:app", 2, signal.SIGINT),
    "gunicorn-preload": Plan(f"{GUNICORN} -w 2 --preload wsgi_app:app", 2),
    "gunicorn-hup": Plan(f"{GUNICORN} -w 1 wsgi_app:app", 1, then=reload_workers),
    "gunicorn-max-requests": Plan(f"{GUNICORN} -w 1 --max-requests 7 wsgi_app:app", 3),
    "gunicorn-gthread": Plan(f"{GUNICORN} -w 2 -k gthread --threads 2 wsgi_app:app", 2),
    "gunicorn-gevent": Plan(f"{GUNICORN} -w 2 -k gevent wsgi_app:app", 2),
    "gunicorn-gevent-int": Plan(f"{GUNICORN} -w 1 -k gevent wsgi_app:app", ends_by=signal.SIGINT),
    "gunicorn-gevent-preload": Plan(f"{GUNICORN} -w 2 -k gevent --preload wsgi_app:app", 2),
    "gunicorn-asgi": Plan(f"{GUNICORN} -w 1 -k asgi asgi_app:app"),
    "gunicorn-uvicorn": Plan(f"{GUNICORN} -w 2 -k uvicorn.workers.UvicornWorker asgi_app:app", 2),
    "uwsgi": Plan(f"{UWSGI} --processes 2 --die-on-term", 2, access_line=UWSGI_LINE),
    "uwsgi-int": Plan(f"{UWSGI} --processes 2", 2, signal.SIGINT, access_line=UWSGI_LINE),
    "uwsgi-lazy": Plan(f"{UWSGI} --processes 2 --lazy-apps --die-on-term", 2, access_line=UWSGI_LINE),
    "uwsgi-threads": Plan(f"{UWSGI} --processes 1 --threads 2 --die-on-term", access_line=UWSGI_LINE),
}
SUPERVISED = {
    f"run-{name}": replace(PLANS[name], command=f"clew run -- {PLANS[name].command}")
    for name in (
        "uvicorn",
        "uvicorn-reload",
        "hypercorn",
        "granian",
        "granian-wsgi",
        "gunicorn",
        "gunicorn-gevent",
        "uwsgi",
    )
}
"""Here the process that waits for the workers is configured, too, and has lines of its own to send."""

PLANS |= SUPERVISED
SLOWEST = ("script", "gunicorn-preload", *SUPERVISED)
ALLOWED_S = 2.0
NOISE_S = 0.8
"""Two runs of a server that polls (uvicorn every 0.5 s) on a busy machine differ by this much at most."""


def present(names: Any) -> dict[str, Plan]:
    """All, but uWSGI's where that did not install: it is compiled on the spot."""
    has_uwsgi = shutil.which("uwsgi", path=environment({})["PATH"]) is not None
    return {name: PLANS[name] for name in names if has_uwsgi or not name.startswith("uwsgi")}


@pytest.fixture(scope="module")
def module_collector() -> Iterator[FakeCollector]:
    with running_collector() as collector:
        yield collector


@pytest.fixture(scope="module")
def fleet(module_collector: FakeCollector, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Served]:
    folder = tmp_path_factory.mktemp("fleet")
    return serve_all(present(PLANS), folder, {"CLEW_ENDPOINT": module_collector.url, **NEVER})


@pytest.mark.parametrize("name", PLANS)
def test_nothing_that_was_finished_is_lost(
    fleet: dict[str, Served], module_collector: FakeCollector, name: str
) -> None:
    if name not in fleet:
        pytest.skip("uwsgi is missing")
    served = fleet[name]
    assert served.status is not None, served.output

    spans, lines, instances = received(module_collector, name)
    assert served.numbers <= spans, served.output
    assert {f"served {number}" for number in served.numbers} <= lines
    assert served.pids <= {pid for pid, _ in instances}
    assert len(instances) == len({instance for _, instance in instances})


@pytest.mark.parametrize("name", PLANS)
def test_no_two_workers_make_the_same_ids(fleet: dict[str, Served], module_collector: FakeCollector, name: str) -> None:
    if name not in fleet:
        pytest.skip("uwsgi is missing")

    requests = [
        span
        for request in module_collector.trace_requests
        for of_resource in request.resource_spans
        if attributes_of(of_resource.resource.attributes)["service.name"] == name
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
        if not span.parent_span_id
    ]

    assert len({span.trace_id for span in requests}) == len(requests) >= len(fleet[name].numbers)


@pytest.mark.parametrize("name", PLANS)
def test_what_was_logged_before_the_fork_comes_once(
    fleet: dict[str, Served], module_collector: FakeCollector, name: str
) -> None:
    if name not in fleet:
        pytest.skip("uwsgi is missing")

    loaded = [line for line in bodies(module_collector, name) if line.startswith("loaded by ")]

    assert len(set(loaded)) == len(loaded) >= 1


def received(collector: FakeCollector, service: str) -> tuple[set[str], set[str], set[tuple[int, str]]]:
    """Numbers on a service's spans, the bodies of its lines, and its processes: ID and instance."""
    spans, instances = set(), set()
    for request in collector.trace_requests:
        for of_resource in request.resource_spans:
            resource = attributes_of(of_resource.resource.attributes)
            if resource["service.name"] == service:
                instances.add((resource["process.pid"], resource["service.instance.id"]))
                spans |= {
                    attributes_of(span.attributes)["number"]
                    for of_scope in of_resource.scope_spans
                    for span in of_scope.spans
                    if span.name == "served"
                }
    return spans, set(bodies(collector, service)), instances


def bodies(collector: FakeCollector, service: str) -> list[str]:
    """The lines that a service has sent."""
    return [
        log.body.string_value
        for logs in collector.log_requests
        for of_resource in logs.resource_logs
        if attributes_of(of_resource.resource.attributes)["service.name"] == service
        for of_scope in of_resource.scope_logs
        for log in of_scope.log_records
    ]


@pytest.fixture(scope="module")
def exits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Served]]:
    """The same servers without clew, with a collector that never answers, and with none at all."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(256)
        hanging = f"http://127.0.0.1:{silent.getsockname()[1]}"
        plans = present(SLOWEST)
        folder = tmp_path_factory.mktemp
        return {
            "without": serve_all(plans, folder("without"), {"CLEW_ENABLED": "false"}),
            "hanging": serve_all(plans, folder("hanging"), {"CLEW_ENDPOINT": hanging}),
            "refusing": serve_all(plans, folder("refusing"), {"CLEW_ENDPOINT": "http://127.0.0.1:9"}),
        }


@pytest.mark.parametrize("name", SLOWEST)
@pytest.mark.parametrize("collector_is", ["hanging", "refusing"])
def test_a_collector_that_is_away_does_not_hold_the_exit_up(
    exits: dict[str, dict[str, Served]], name: str, collector_is: str
) -> None:
    if name not in exits["without"]:
        pytest.skip("uwsgi is missing")
    served, without = exits[collector_is][name], exits["without"][name]

    assert served.status == without.status is not None, served.output
    assert served.exit_s < without.exit_s + ALLOWED_S + NOISE_S
