"""Pages about queues: somebody sends, a worker takes."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.instrumentation.fake_collector import FakeCollector, attributes_of

TIMEOUT_S = 30


def follow(command: str, *, folder: Path, env: Mapping[str, str]) -> None:
    """Run a command of a page to its end."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def names_by_time(collector: FakeCollector, correlation_id: str) -> list[str]:
    """What a request consists of, but for its calls of databases."""
    spans = [
        span
        for span in collector.spans
        if attributes_of(span.attributes)["correlation.id"] == correlation_id and span.kind != Span.SPAN_KIND_CLIENT
    ]
    return [span.name for span in sorted(spans, key=lambda span: span.start_time_unix_nano)]
