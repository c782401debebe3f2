"""What the base install weighs, and what `import clew` adds to importing structlog and OpenTelemetry's API."""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.instrumentation.peers import ROOT, python_of
from benchmarks.table import print_table, spread

IMPORTS = 15
_SCRIPT = """
import time
start = time.perf_counter()
import structlog
import opentelemetry.trace
before = time.perf_counter()
import clew
print((before - start) * 1e3, (time.perf_counter() - before) * 1e3)
"""
# What a service that logs and serves asynchronously has imported in any case.
_COMMON = "import asyncio, logging, http.client, ssl\n"


def main() -> None:
    alone = [_import_ms("") for _ in range(IMPORTS)]
    print_table(
        f"Import, ms (median of {IMPORTS})",
        ["structlog and OpenTelemetry's API", "import clew adds"],
        [[spread([before for before, _ in alone]), spread([added for _, added in alone])]],
    )
    sizes = _sizes_mb()
    print_table(
        "Base install, MB in site-packages (compiled files included)",
        ["all", *sizes],
        [[f"{sum(sizes.values()):.1f}", *(f"{size:.1f}" for size in sizes.values())]],
    )


def _import_ms(before: str) -> tuple[float, float]:
    script = before + _SCRIPT
    told = subprocess.run([python_of("clew"), "-c", script], capture_output=True, text=True, check=True).stdout
    first, second = told.split()
    return float(first), float(second)


def _sizes_mb() -> dict[str, float]:
    """Megabytes by distribution, of a new environment without pip."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder)
        target = next(Path(folder).glob("lib/python*/site-packages"))
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--target", str(target), str(ROOT)], check=True, capture_output=True)
        listed = subprocess.run(
            [sys.executable, "-m", "pip", "list", "--path", str(target), "--format", "json"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert json.loads(listed)
        sizes: dict[str, float] = {}
        for entry in sorted(target.iterdir()):
            if entry.suffix != ".dist-info" and entry.name != "bin":
                files = entry.rglob("*") if entry.is_dir() else [entry]
                size = sum(file.stat().st_size for file in files if file.is_file())
                sizes[entry.name] = size / 1e6
        return {name: size for name, size in sorted(sizes.items(), key=lambda item: -item[1]) if size >= 0.05}


if __name__ == "__main__":
    main()
