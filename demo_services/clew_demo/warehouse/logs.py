"""The warehouse's log file: lines for people, with the caller's IDs at the end of each."""

import logging
import re
from email.message import Message
from logging.handlers import RotatingFileHandler
from pathlib import Path

LINE = "%(asctime)s %(levelname)-5s [%(threadName)s] %(name)s: %(message)s request_id=%(request_id)s trace=%(trace)s"
MAX_BYTES = 5_000_000
KEPT_FILES = 3
ABSENT = "-"

REQUEST_ID = re.compile(r"[\w.:/+=@-]{1,128}")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


def log_to_file(path: Path) -> None:
    """Have all loggers of this process write into a file, which is put aside when it is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter(LINE, defaults={"request_id": ABSENT, "trace": ABSENT}))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def caller_ids(headers: Message) -> dict[str, str]:
    """The IDs that a caller sent, as a line has them. What is not one is left out: a header can hold anything."""
    request_id = REQUEST_ID.fullmatch(headers.get("X-Request-ID", ""))
    traceparent = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return {
        "request_id": request_id.group() if request_id else ABSENT,
        "trace": traceparent.group(1) if traceparent else ABSENT,
    }
