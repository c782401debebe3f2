"""The W3C's own suite for Trace Context (levels 1 and 2), against a FastAPI service that calls on through httpx."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.processes import answers_http, free_port, running

HARNESS = Path(__file__).parents[1] / "w3c_trace_context"
TESTS = 41

SERVICE = """
import asyncio
import os
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request

import clew

clew.configure(service="w3c")
app = clew.instrument(FastAPI())

@app.get("/health")
async def health() -> None:
    return None

@app.post("/test")
async def call_on(request: Request) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        for action in await request.json():
            await client.post(action["url"], json=action["arguments"])
    return {}

uvicorn.run(app, port=int(os.environ["SERVICE_PORT"]), log_level="warning")
"""


def test_all_tests_of_the_w3c_pass(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    service_port, harness_port = free_port(), free_port()
    (tmp_path / "service.py").write_text(SERVICE)
    env = {"SERVICE_PORT": str(service_port), "CLEW_ENABLED": "true", "OTEL_TRACES_EXPORTER": "none"}
    with running(
        [sys.executable, "service.py"],
        name="w3c-service",
        is_ready=answers_http(f"http://127.0.0.1:{service_port}/health"),
        folder=tmp_path,
        env=env,
    ):
        done = subprocess.run(
            [sys.executable, "test.py", f"http://127.0.0.1:{service_port}/test"],
            cwd=HARNESS,
            env={**os.environ, "HARNESS_PORT": str(harness_port), "SPEC_LEVEL": "2", "STRICT_LEVEL": "2"},
            capture_output=True,
            text=True,
            timeout=120,
        )

    told = done.stdout + done.stderr
    assert re.search(rf"^Ran {TESTS} tests", told, re.MULTILINE), told
    assert done.returncode == 0, told
    assert "skipped" not in told
