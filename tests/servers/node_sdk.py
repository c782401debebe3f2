"""OpenTelemetry's JavaScript SDK with its OTLP exporters. Installed once."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.servers.artifacts import CACHE
from tests.servers.missing import ServerMissingError

EXPORTERS_VERSION = "0.223.1"
_EXPORTERS = [
    f"exporter-{signal}-otlp-{protocol}" for signal in ("trace", "logs") for protocol in ("grpc", "http", "proto")
]
PACKAGES = {
    "@opentelemetry/api": "1.9.0",
    "@opentelemetry/resources": "2.12.1",
    "@opentelemetry/sdk-trace-base": "2.12.1",
    **{f"@opentelemetry/{name}": EXPORTERS_VERSION for name in ("api-logs", "sdk-logs", *_EXPORTERS)},
}
FOLDER = CACHE / f"node-opentelemetry-{EXPORTERS_VERSION}"
_DONE = FOLDER / "installed"
_NODE_NEEDED = 20
_INSTALL_TIMEOUT_S = 300


@dataclass(frozen=True)
class NodeSdk:
    """The program, and the folder of the packages for `NODE_PATH`."""

    node: str
    modules: Path


def find() -> NodeSdk:
    """Node and the packages, installed if they are not there. Raises `ServerMissingError`."""
    return NodeSdk(node=_node(), modules=_installed())


def _installed() -> Path:
    modules = FOLDER / "node_modules"
    if _DONE.exists():
        return modules
    npm = shutil.which("npm")
    if npm is None:
        raise ServerMissingError("OpenTelemetry's JavaScript SDK is installed with npm, which is not installed")
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "package.json").write_text(json.dumps({"private": True, "dependencies": PACKAGES}))
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ServerMissingError(f"npm install took more than {_INSTALL_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise ServerMissingError(f"cannot install OpenTelemetry's JavaScript SDK: {done.stderr.strip()[-300:]}")
    _DONE.touch()
    return modules


def _node() -> str:
    found = shutil.which("node")
    told = "" if found is None else subprocess.run([found, "--version"], capture_output=True, text=True).stdout
    version = re.match(r"v(\d+)", told)
    if found is None or version is None or int(version.group(1)) < _NODE_NEEDED:
        raise ServerMissingError(f"Node {_NODE_NEEDED} or newer is not installed{told and f', only {told.strip()}'}")
    return found
