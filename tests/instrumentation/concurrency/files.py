"""Programs as files: a spawned child imports its parent's main module, which must be one."""

import os
import subprocess
import sys
from pathlib import Path


def run_file(folder: Path, code: str, *arguments: str, timeout_s: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a Python program to its end; fails with its output if it fails."""
    file = folder / "program.py"
    file.write_text(code)
    done = subprocess.run(
        [sys.executable, str(file), *arguments], capture_output=True, text=True, timeout=timeout_s, cwd=folder
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def run_files_environment(**variables: str) -> dict[str, str]:
    """This process's environment, without what other settings of clew it may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "OTEL_"))}
    return {**kept, **variables}
