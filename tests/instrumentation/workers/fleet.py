"""Real servers, all at once: each serves a small app, is asked until all its workers have answered, and is ended."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Final

from tests.servers.guard import end_group
from tests.servers.processes import free_port

READY_S: Final = 60.0
EXIT_S: Final = 25.0
AT_ONCE: Final = 4
ANSWERED_S: Final = 30.0

WSGI = """
import logging, os, sys, time
import clew
clew.configure(log_format="none")
log = logging.getLogger("shop")
log.warning("loaded by %d", os.getpid())

def app(environ, start_response):
    number = environ["PATH_INFO"].strip("/")
    with clew.request("served", attributes={"number": number}):
        log.warning("served %s", number)
        time.sleep(0.02)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]

application = app

if __name__ == "__main__":
    from wsgiref.simple_server import WSGIRequestHandler, make_server
    WSGIRequestHandler.log_message = lambda *arguments: None
    make_server("127.0.0.1", int(sys.argv[1]), app).serve_forever()
"""

ASGI = """
import logging, os, time
import clew
clew.configure(log_format="none")
log = logging.getLogger("shop")
log.warning("loaded by %d", os.getpid())

async def answer(scope, receive, send):
    assert scope["type"] == "http", "no lifespan here"
    number = scope["path"].strip("/")
    with clew.request("served", attributes={"number": number}):
        log.warning("served %s", number)
        time.sleep(0.02)  # in the way of the whole worker, so that the others have to answer as well
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body()))]})
    await send({"type": "http.response.body", "body": body()})

def body():
    return str(os.getpid()).encode()

app = clew.ClewMiddleware(answer)
"""


@dataclass
class Served:
    """How it went."""

    numbers: set[str] = field(default_factory=set)
    """The requests that were answered."""

    pids: set[int] = field(default_factory=set)
    status: int | None = None
    exit_s: float = 0.0
    output: str = ""


@dataclass(frozen=True)
class Plan:
    """A server's command (`PORT` stands for its port), and what is done with it."""

    command: str
    workers: int = 1
    ends_by: signal.Signals = signal.SIGTERM
    then: Callable[[int], None] | None = None
    """Done to the server, by its process ID, between two rounds of requests; another worker answers after it."""

    access_line: str = ""
    """What it logs when it is done with request `NUMBER`; waited for before the server is ended."""


def serve_all(plans: Mapping[str, Plan], folder: Path, variables: Mapping[str, str]) -> dict[str, Served]:
    """Run all of them at the same time; what came of each, by its name, which is its service's too."""
    (folder / "wsgi_app.py").write_text(WSGI)
    (folder / "asgi_app.py").write_text(ASGI)
    ports: set[int] = set()
    while len(ports) < len(plans):
        ports.add(free_port())
    with ThreadPoolExecutor(len(plans)) as pool:
        runs = {
            name: pool.submit(_serve, name, plan, port, folder, variables)
            for port, (name, plan) in zip(ports, plans.items(), strict=True)
        }
        return {name: run.result() for name, run in runs.items()}


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with this Python's scripts first, and no other settings of clew."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "OTEL_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", **variables}


def _serve(name: str, plan: Plan, port: int, folder: Path, variables: Mapping[str, str]) -> Served:
    served = Served()
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            plan.command.replace("PORT", str(port)).split(),
            cwd=folder,
            env=environment({"CLEW_SERVICE": name, **variables}),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            _wait_until_ready(port, process, served)
            _ask_all_workers(port, plan.workers, served)
            if plan.then is not None:
                plan.then(process.pid)
                _ask_all_workers(port, len(served.pids) + 1, served)
            _wait_until_idle(plan, served, log)
            begin_s = time.monotonic()
            process.send_signal(plan.ends_by)
            served.status = process.wait(EXIT_S)
            served.exit_s = time.monotonic() - begin_s
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            served.output = f"{error}\n"
            process.send_signal(signal.SIGABRT)  # has the stacks of its threads written
        finally:
            end_group(process.pid)
            process.wait()
    served.output += log.read_text(errors="replace")[-4_000:]
    return served


def _wait_until_ready(port: int, process: "subprocess.Popen[bytes]", served: Served) -> None:
    end_s = time.monotonic() + READY_S
    while not _ask(port, 0, served):
        if process.poll() is not None or time.monotonic() > end_s:
            raise TimeoutError("the server did not get ready")
        time.sleep(0.1)


def _wait_until_idle(plan: Plan, served: Served, log: Path) -> None:
    end_s = time.monotonic() + ANSWERED_S
    lines = [plan.access_line.replace("NUMBER", number) for number in served.numbers]
    while not all(line in log.read_text(errors="replace") for line in lines):
        if time.monotonic() > end_s:
            raise TimeoutError("the server did not get idle")
        time.sleep(0.02)


def _ask_all_workers(port: int, wanted: int, served: Served) -> None:
    """Ask, some at once, until so many different workers have answered."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        end_s = time.monotonic() + ANSWERED_S
        while time.monotonic() < end_s:
            first = len(served.numbers)
            list(pool.map(lambda number: _ask(port, number, served), range(first, first + AT_ONCE)))
            if len(served.pids) >= wanted:
                return
    raise TimeoutError(f"only {len(served.pids)} of {wanted} workers answered")


def _ask(port: int, number: int, served: Served) -> bool:
    # By the bare library: other tests switch clew on, which then makes these requests part of traces of its own.
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", f"/{number}")
        answer = connection.getresponse()
        if answer.status != 200:
            return False
        served.pids.add(int(answer.read()))
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    served.numbers.add(str(number))
    return True
