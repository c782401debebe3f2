"""Log records as syslog messages (RFC 5424), sent over UDP (RFC 5426) or written to standard error."""

import logging
import os
import re
import socket
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from logging.handlers import DatagramHandler, SysLogHandler

NIL = "-"
ENTERPRISE = 32473
"""The number that RFC 5612 keeps for examples."""

ESCAPED = re.compile(r'(["\\\]])')


class Rfc5424Formatter(logging.Formatter):
    """A whole syslog message. `extra={"data": {"check": {...}}}` becomes structured data of that name."""

    def __init__(self, app_name: str) -> None:
        super().__init__()
        self._origin = f"{socket.gethostname()} {app_name} {os.getpid()}"

    def format(self, record: logging.LogRecord) -> str:
        """PRI, version, time, who, structured data, text; a stack follows the text."""
        priority = SysLogHandler.LOG_LOCAL0 << 3 | _severity(record)
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        data = "".join(_element(name, fields) for name, fields in getattr(record, "data", {}).items())
        return f"<{priority}>1 {time} {self._origin} {record.name} {data or NIL} {super().format(record)}"


class SyslogHandler(DatagramHandler):
    """Sends each record as one datagram; what the network loses is lost, as ever with syslog over UDP."""

    def makePickle(self, record: logging.LogRecord) -> bytes:  # noqa: N802, the name that DatagramHandler calls
        """The bytes of the datagram: the text, where the base class has a pickle."""
        return self.format(record).encode(errors="replace")


def log_to_syslog(app_name: str, address: str | None) -> None:
    """Have all loggers of this process write to a syslog server at `host:port`, or to standard error."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if address is not None:
        host, _, port = address.rpartition(":")
        handler = SyslogHandler(host, int(port))
    handler.setFormatter(Rfc5424Formatter(app_name))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def _severity(record: logging.LogRecord) -> int:
    """0 (emergency) to 7 (debug)."""
    return SysLogHandler.priority_names[SysLogHandler.priority_map.get(record.levelname, "warning")]


def _element(name: str, fields: Mapping[str, object]) -> str:
    parameters = "".join(f' {key}="{_escaped(value)}"' for key, value in fields.items())
    return f"[{name}@{ENTERPRISE}{parameters}]"


def _escaped(value: object) -> str:
    return ESCAPED.sub(r"\\\1", str(value))
