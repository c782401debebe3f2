"""The peers, each with its packages in a virtual environment of its own: their requirements exclude each other."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / ".venv" / "peers"

# The host is the same everywhere.
HOST: Final = (
    "fastapi==0.165.0",
    "flask==3.1.3",
    "granian==2.8.7",
    "httptools==0.9.0",
    "httpx==0.28.1",
    "orjson==3.13.0",
    "python-json-logger==4.2.0",
    "starlette==1.10.0",
    "structlog==26.1.0",
    "uvicorn==0.54.0",
    "uvloop==0.23.0",
)

PEERS: Final = {
    "clew": (f"{ROOT}",),
    "correlation": ("asgi-correlation-id==4.3.4",),
    "opentelemetry": (
        "opentelemetry-exporter-otlp-proto-http==1.45.1",
        "opentelemetry-instrumentation-fastapi==0.66b1",
        "opentelemetry-instrumentation-flask==0.66b1",
        "opentelemetry-instrumentation-httpx==0.66b1",
        "opentelemetry-instrumentation-logging==0.66b1",
        "opentelemetry-instrumentation-starlette==0.66b1",
        "opentelemetry-instrumentation-threading==0.66b1",
    ),
    # Named one by one: pip takes no pre-release that only another package asks for.
    "logfire": (
        "logfire==5.2.0",
        "opentelemetry-instrumentation-asgi==0.66b2",
        "opentelemetry-instrumentation-fastapi==0.66b2",
        "opentelemetry-instrumentation-httpx==0.66b2",
    ),
    "ddtrace": ("ddtrace>=4.16,<5",),
}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made the first time."""
    folder = FOLDER / peer
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = "\n".join((*HOST, *PEERS[peer]))
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {peer} into {folder}", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        packages = ["--editable", *PEERS[peer]] if peer == "clew" else list(PEERS[peer])
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *HOST, *packages]
        subprocess.run(command, check=True)
        stamp.write_text(wanted)
    return python
