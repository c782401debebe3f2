"""One syslog message: RFC 5424, RFC 3164 as devices and libraries write it, or just a line of text."""

import re
from datetime import tzinfo
from typing import Final

from clew_collector.model import record
from clew_collector.wire.syslog.structured_data import Param, decode_structured_data
from clew_collector.wire.syslog.timestamp import leading_time

_NO_PRI: Final = 13
"""user.notice: what a message without a readable PRI has (RFC 3164, section 4.3.3)."""
_MAX_PRI: Final = 191
_NIL: Final = "-"
_BOM: Final = "\ufeff"

_pri = re.compile(r"<(0|[1-9]\d{0,2})>", re.ASCII).match
# A date, or nil, must follow the version: "<13>1 of 3 disks failed" is no RFC 5424.
_rfc5424 = re.compile(r"[1-9]\d{0,2} (-|\d{4}-\d\d-\d\d[Tt]\S+) (\S+) (\S+) (\S+) (\S+)(?: |$)", re.ASCII).match
# Cisco numbers its messages before the time; where it does not, the colon may be left.
_sequence = re.compile(r"(?:\d*: )?", re.ASCII).match
# A name, as opposed to Cisco's "%SYS-5-CONFIG_I:" and to the first word of a sentence.
_tag = re.compile(r"([\w./@+-]{1,128})(?:\[([^\]\s]{0,128})\]:|:(?=\s|$)) ?").match
_tag_with_process = re.compile(r"([\w./@+-]{1,128})\[([^\]\s]{1,128})\]: ?").match
_host = re.compile(r"(\w(?:[\w.:%-]*\w)?) +(?=\S)").match


@record
class SyslogMessage:
    """What a message says of itself; empty, or `None`, what it leaves out.

    `time_text` is a timestamp that could not be read. `params` are those of the structured data.
    """

    facility: int
    severity: int
    body: str
    time_ns: int | None = None
    time_text: str = ""
    host: str = ""
    app: str = ""
    process: str = ""
    msgid: str = ""
    params: tuple[Param, ...] = ()


def decode_message(data: bytes, *, received_ns: int, zone: tzinfo | None = None) -> SyslogMessage:
    r"""The message in a datagram or frame; any bytes are one. See `leading_time` for `received_ns` and `zone`.

    What cannot be understood stays in the body. A byte that is not UTF-8 becomes text: `\xff`.
    """
    text = data.rstrip(b"\r\n\0").decode("utf-8", errors="backslashreplace").removeprefix(_BOM)
    found = _pri(text)
    if found is None or int(found[1]) > _MAX_PRI:
        if text[:1].isdigit():  # a line of some file: what follows its time is not known to be a host
            return SyslogMessage(facility=_NO_PRI >> 3, severity=_NO_PRI & 7, body=text)
        return _decode_rfc3164(_NO_PRI, text, received_ns=received_ns, zone=zone)
    pri, rest = int(found[1]), text[found.end() :]
    header = _rfc5424(rest)
    if header is None:
        return _decode_rfc3164(pri, rest, received_ns=received_ns, zone=zone)
    return _decode_rfc5424(pri, header, received_ns=received_ns, zone=zone)


def _decode_rfc5424(pri: int, header: re.Match[str], *, received_ns: int, zone: tzinfo | None) -> SyslogMessage:
    time_text, host, app, process, msgid = ("" if field == _NIL else field for field in header.groups())
    stamp = leading_time(time_text, received_ns=received_ns, zone=zone)
    time_ns = stamp.time_ns if stamp is not None and stamp.end == len(time_text) else None
    rest = header.string[header.end() :]
    params, body = decode_structured_data(rest) or ((), rest)  # Heroku and others leave it out
    return SyslogMessage(
        facility=pri >> 3,
        severity=pri & 7,
        time_ns=time_ns,
        time_text=time_text if time_ns is None else "",
        host=host,
        app=app,
        process=process,
        msgid=msgid,
        params=params,
        body=body.removeprefix(" ").removeprefix(_BOM),
    )


def _decode_rfc3164(pri: int, text: str, *, received_ns: int, zone: tzinfo | None) -> SyslogMessage:
    sequence = _sequence(text)
    at = 0 if sequence is None else sequence.end()
    stamp = leading_time(text, at=at, received_ns=received_ns, zone=zone)
    host = ""
    if stamp is None:  # all of it is content (section 4.3.2), but for a tag that cannot be anything else
        rest = text
        tag = _tag_with_process(text)
    else:
        rest = text[stamp.end :].lstrip(" ")
        tag = _tag(rest)
        if tag is None and (name := _host(rest)) is not None:  # local senders leave the host out
            host, rest = name[1], rest[name.end() :]
            tag = _tag(rest)
    return SyslogMessage(
        facility=pri >> 3,
        severity=pri & 7,
        time_ns=None if stamp is None else stamp.time_ns,
        host=host,
        app="" if tag is None else tag[1],
        process="" if tag is None else tag[2] or "",
        body=rest if tag is None else rest[tag.end() :],
    )
