"""Small programs of their own process: for what may happen only once in a process."""

import subprocess
import sys
import textwrap


def run_script(script: str, *arguments: str, timeout_s: float = 30) -> "subprocess.CompletedProcess[str]":
    """Run a Python program to its end; fails with its output if it fails."""
    argv = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == 0, done.stdout + done.stderr
    return done
