"""Access logs of nginx and Apache, common and combined, with a virtual host before or more fields after."""

import re
from typing import Final

from clew.fields import HTTP_METHOD, HTTP_STATUS_CODE, URL_FULL, URL_PATH
from clew_collector.model import Value
from clew_collector.wire.ids import NO_IDS
from clew_collector.wire.lines.ids import ids_in_text
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.severity import ERROR, INFO
from clew_collector.wire.lines.timestamp import leading_time_ns

CLIENT_ADDRESS: Final = "client.address"
SERVER_ADDRESS: Final = "server.address"
USER_NAME: Final = "user.name"
URL_QUERY: Final = "url.query"
PROTOCOL_VERSION: Final = "network.protocol.version"
BODY_SIZE: Final = "http.response.body.size"
REFERER: Final = "http.request.header.referer"
USER_AGENT: Final = "user_agent.original"

_access = re.compile(
    r'(?:(?P<host>[\w.-]+)(?::\d+)? )?(?P<client>[\w.:%-]+) \S+ (?P<user>\S+|"[^"]*") (?P<time>\[[^\]]{20,30}\]) '
    r'"(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}|-) (?P<size>\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?(?P<rest> .*)?$',
    re.ASCII | re.DOTALL,
).match
_request = re.compile(r"([A-Z][A-Z_-]{0,31}) (\S+)(?: HTTP/(\d(?:\.\d)?))?").fullmatch
_NIL: Final = "-"
_SERVER_ERROR: Final = 500


def decode_access(text: str, reading: Reading) -> DecodedLine | None:
    """The line, if it is one of an access log. IDs are taken from what follows the user agent only: all before it is
    as the client wrote it."""
    found = _access(text)
    if found is None:
        return None
    host, client, user, time_text, request, status, size, referer, agent, rest = found.groups()
    time = leading_time_ns(time_text, reading)
    if time is None:
        return None
    attributes: dict[str, Value] = {CLIENT_ADDRESS: client}
    add_request(attributes, request)
    if status != _NIL:
        attributes[HTTP_STATUS_CODE] = int(status)
    if size != _NIL and len(size) < 19:
        attributes[BODY_SIZE] = int(size)
    for key, value in ((SERVER_ADDRESS, host), (USER_NAME, user), (USER_AGENT, agent)):
        if value and value != _NIL:
            attributes[key] = value
    if referer and referer != _NIL:
        attributes[REFERER] = [referer]
    failed = status != _NIL and int(status) >= _SERVER_ERROR
    return DecodedLine(
        body=text,
        time_ns=time[0],
        severity_number=ERROR if failed else INFO,
        severity_text="error" if failed else "info",
        ids=ids_in_text(rest) if rest and reading.ids_in_text else NO_IDS,
        attributes=attributes,
    )


def add_request(attributes: dict[str, Value], request: str) -> None:
    """Add what a request line, `GET /path?query HTTP/1.1`, says."""
    found = _request(request)
    if found is None:
        return
    method, target, version = found.groups()
    attributes[HTTP_METHOD] = method
    if target.startswith("/"):
        path, mark, query = target.partition("?")
        attributes[URL_PATH] = path
        if mark:
            attributes[URL_QUERY] = query
    elif "://" in target:
        attributes[URL_FULL] = target
    if version:
        attributes[PROTOCOL_VERSION] = version
