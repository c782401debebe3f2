"""Error logs of nginx and Apache."""

import re
from typing import Final

from clew_collector.model import Value
from clew_collector.wire.ids import NO_IDS
from clew_collector.wire.lines.access_log import CLIENT_ADDRESS, SERVER_ADDRESS, add_request
from clew_collector.wire.lines.ids import ids_in_text
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.severity import NUMBERS, TRACE
from clew_collector.wire.lines.timestamp import leading_time_ns

PROCESS_ID: Final = "process.pid"
THREAD_ID: Final = "thread.id"
CLIENT_PORT: Final = "client.port"
MODULE: Final = "apache.module"
UPSTREAM: Final = "nginx.upstream"

_nginx = re.compile(r"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] (\d{1,10})#(\d{1,10}): (?:\*\d+ )?", re.ASCII).match
_nginx_fields = re.compile(r', (client|server|request|upstream): (?:"((?:[^"\\]|\\.)*)"|([^,\s]+))').finditer
_apache = re.compile(
    r"(\[[A-Z][a-z]{2} [A-Z][a-z]{2} [^\]]{16,24}\]) \[(?:(\w*):)?(\w+)\](?: \[pid (\d{1,10})(?::tid (\d{1,18}))?\])?"
    r"(?:.{0,200}?\[client ([^\]\s]+?)(?::(\d{1,5}))?\])?",
    re.ASCII,
).match


def decode_error(text: str, reading: Reading) -> DecodedLine | None:
    """The line, if it is one of nginx's or Apache's error log."""
    if text[:1].isdigit():
        return _decode_nginx(text, reading)
    return _decode_apache(text, reading) if text[:1] == "[" else None


def _decode_nginx(text: str, reading: Reading) -> DecodedLine | None:
    found = _nginx(text)
    if found is None:
        return None
    time_text, level, process, thread = found.groups()
    attributes: dict[str, Value] = {PROCESS_ID: int(process), THREAD_ID: int(thread)}
    for name, quoted, plain in (each.groups() for each in _nginx_fields(text, found.end())):
        if name == "request":
            add_request(attributes, quoted or "")
        else:
            attributes[{"client": CLIENT_ADDRESS, "server": SERVER_ADDRESS}.get(name, UPSTREAM)] = quoted or plain
    return _line(text, time_text, level, attributes, reading)


def _decode_apache(text: str, reading: Reading) -> DecodedLine | None:
    found = _apache(text)
    if found is None:
        return None
    time_text, module, level, process, thread, client, port = found.groups()
    attributes: dict[str, Value] = {}
    for key, number in ((PROCESS_ID, process), (THREAD_ID, thread), (CLIENT_PORT, port)):
        if number:
            attributes[key] = int(number)
    for key, value in ((MODULE, module), (CLIENT_ADDRESS, client)):
        if value:
            attributes[key] = value
    return _line(text, time_text, level, attributes, reading)


def _line(text: str, time_text: str, level: str, attributes: dict[str, Value], reading: Reading) -> DecodedLine | None:
    time = leading_time_ns(time_text, reading)
    number = NUMBERS.get(level, TRACE if level.startswith("trace") else 0)
    if time is None or not number:
        return None
    return DecodedLine(
        body=text,
        time_ns=time[0],
        severity_number=number,
        severity_text=level,
        ids=ids_in_text(text) if reading.ids_in_text else NO_IDS,
        attributes=attributes,
    )
