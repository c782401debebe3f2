"""Pure forwarders: they take, batch and pass on, here to nowhere, and store nothing. What clew's receivers are up to.

Both answer once a payload is in memory; clew answers once it is on disk.
"""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.ingest.load import CACHE, Load, Sent, Target
from benchmarks.ingest.rounds import Measure
from clew_collector.model import Signal
from tests.servers.missing import ServerMissingError
from tests.servers.processes import free_port, running, temporary_folder

ROTEL_VERSION: Final = "0.0.1a15"
OTELCOL_VERSION: Final = "0.160.0"
_OTELCOL_STABLE: Final = "1.66.0"
"""The version of the modules that are stable, released with it."""

_CORE: Final = "go.opentelemetry.io/collector"
_MANIFEST: Final = f"""
dist: {{name: otelcol, output_path: ./built}}
receivers: [{{gomod: {_CORE}/receiver/otlpreceiver v{OTELCOL_VERSION}}}]
processors: [{{gomod: {_CORE}/processor/batchprocessor v{OTELCOL_VERSION}}}]
exporters: [{{gomod: {_CORE}/exporter/nopexporter v{OTELCOL_VERSION}}}]
providers:
  - {{gomod: {_CORE}/confmap/provider/envprovider v{_OTELCOL_STABLE}}}
  - {{gomod: {_CORE}/confmap/provider/fileprovider v{_OTELCOL_STABLE}}}
"""
_OTELCOL_CONFIG: Final = """
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:%d"}}}}
processors: {batch: {}}
exporters: {nop: {}}
service:
  telemetry: {metrics: {level: none}}
  pipelines:
    logs: {receivers: [otlp], processors: [batch], exporters: [nop]}
    traces: {receivers: [otlp], processors: [batch], exporters: [nop]}
"""


@contextmanager
def otelcol(load: Load, signal: Signal) -> Iterator[Measure[Sent]]:
    """An OpenTelemetry Collector made of a receiver, the batch processor and an exporter to nowhere."""
    program = _otelcol()

    def measure() -> Sent:
        port = free_port()
        with temporary_folder("otelcol") as folder:
            (folder / "config.yaml").write_text(_OTELCOL_CONFIG % port)
            with _listening([str(program), "--config", "file:config.yaml"], port, folder) as pid:
                return load.send(signal, _target(signal, port, pid))

    yield measure


@contextmanager
def rotel(load: Load, signal: Signal) -> Iterator[Measure[Sent]]:
    """rotel (Rust) with its batches and its exporter to nowhere."""
    program = _rotel()

    def measure() -> Sent:
        port = free_port()
        with temporary_folder("rotel") as folder:
            settings = {
                "ROTEL_OTLP_HTTP_ENDPOINT": f"127.0.0.1:{port}",
                "ROTEL_OTLP_GRPC_ENDPOINT": f"127.0.0.1:{free_port()}",
                "ROTEL_EXPORTER": "blackhole",
                "ROTEL_PID_FILE": str(folder / "pid"),
            }
            with _listening([str(program), "start"], port, folder, env=settings) as pid:
                return load.send(signal, _target(signal, port, pid))

    yield measure


def _target(signal: Signal, port: int, pid: int) -> Target:
    return Target(protocol="http", url=f"http://127.0.0.1:{port}/v1/{signal}", pid=pid)


@contextmanager
def _listening(argv: Sequence[str], port: int, folder: Path, *, env: Mapping[str, str] | None = None) -> Iterator[int]:
    def is_ready() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    with running(argv, name=Path(argv[0]).name, is_ready=is_ready, folder=folder, env=env) as pid:
        yield pid


def _rotel() -> Path:
    """The program in PyPI's package, installed beside everything else, once."""
    folder = CACHE / f"rotel-{ROTEL_VERSION}"
    program = folder / "rotel" / "rotel-agent"
    if not program.exists():
        package = f"rotel=={ROTEL_VERSION}"
        _run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), package], cwd=CACHE)
    return program


def _otelcol() -> Path:
    """The program, built once with the Collector's own builder."""
    folder = CACHE / f"otelcol-{OTELCOL_VERSION}"
    program = folder / "built" / "otelcol"
    if not program.exists():
        if shutil.which("go") is None:
            raise ServerMissingError("the OpenTelemetry Collector is built with Go, which is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "manifest.yaml").write_text(_MANIFEST)
        _run(["go", "install", f"{_CORE}/cmd/builder@v{OTELCOL_VERSION}"], cwd=folder)
        _run([str(folder / "builder"), "--config", "manifest.yaml"], cwd=folder)
    return program


def _run(argv: Sequence[str], *, cwd: Path) -> None:
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, "GOBIN": str(cwd)}, capture_output=True, text=True)
    if done.returncode:
        raise ServerMissingError(f"{' '.join(argv)} failed: {done.stderr.strip()[-300:]}")
