"""Programs that pages tell their readers to run."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

TIMEOUT_S = 60


def run(command: str, *, folder: Path) -> str:
    """Run a command of a page in a folder; what it prints. Without the program, skips on a laptop and fails in CI."""
    program, *arguments = shlex.split(command)
    if shutil.which(program) is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed", pytrace=False)
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        [program, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
