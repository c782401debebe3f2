"""What a process uses of its machine, as log lines that a service writes now and then."""

import resource
import time
from pathlib import Path

import structlog

from clew_demo.repeating import Repeating

INTERVAL_S = 5.0
STATM = Path("/proc/self/statm")
"""Linux: sizes in pages; the second number is the resident set (proc(5))."""

log = structlog.get_logger()


def usage_log(*, interval_s: float = INTERVAL_S) -> Repeating:
    """Writes a line `process usage` every few seconds, from its start to its stop."""
    return Repeating(log_usage, interval_s=interval_s)


def log_usage() -> None:
    """Write one line: memory that is resident now, and processor time since the process began."""
    log.info("process usage", rss_bytes=rss_bytes(), cpu_s=round(time.process_time(), 3))


def rss_bytes() -> int:
    """Resident memory of this process; where there is no /proc, the most it ever had."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
