"""What all services share around their routes: the app's shell, and the server process."""

import argparse
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import uvicorn
from fastapi import APIRouter, FastAPI

import clew
from clew_demo import problems
from clew_demo.settings import HOST

GRACE_S = 2
"""How long requests under way may take to finish once the process is told to stop."""

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def build_app(service: str, router: APIRouter, *, lifespan: Lifespan) -> FastAPI:
    """An app with the service's routes, a health check, problem answers, and clew around it all."""
    app = FastAPI(title=service, lifespan=lifespan)
    app.include_router(router)
    app.add_api_route("/healthz", _healthy, include_in_schema=False)
    problems.install(app)
    return clew.instrument(app)


def parse_port(service: str, *, default: int) -> int:
    """The `--port` that this process was started with."""
    parser = argparse.ArgumentParser(prog=f"python -m clew_demo.{service}")
    parser.add_argument("--port", type=int, default=default, help="port on 127.0.0.1 (default: %(default)s)")
    port: int = parser.parse_args().port
    return port


def run(app: FastAPI, *, port: int) -> None:
    """Serve until SIGTERM or SIGINT. No access log: each request is a span already."""
    uvicorn.run(
        app,
        host=HOST,
        port=port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_S,
    )


async def _healthy() -> dict[str, str]:
    return {"status": "ok"}
