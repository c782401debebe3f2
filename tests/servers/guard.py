"""End a server when the test run that started it is gone, however it went.

    python guard.py FOLDER

The test run holds the other end of standard input and writes the server's process group into it. The kernel closes it
when the test run ends, even by SIGKILL; then the group is ended and the folder removed. On the standard library alone:
it lives when pytest does not.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE_S = 10.0


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    group = sys.stdin.read()
    if group:
        end_group(int(group))
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def end_group(group: int) -> None:
    """End a process group: asked to at first, made to after `GRACE_S`."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)
        deadline_s = time.monotonic() + GRACE_S
        while _group_lives(group) and time.monotonic() < deadline_s:
            time.sleep(0.05)


def _group_lives(group: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(-group, os.WNOHANG)  # an ended child that nobody waited for would count as living
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
