"""Syslog messages by value: RFC 5424, RFC 3164 in the wild, and what is neither."""

import re
from datetime import UTC, datetime

import pytest

from clew_collector.wire.syslog.message import SyslogMessage
from tests.collector.wire.syslog.messages import ZONE, decoded, go_syslog_inputs, time_ns


def test_every_field_of_rfc_5424_is_read() -> None:
    line = '<165>1 2003-08-24T05:14:15.000003-07:00 web1 orders 8710 ID47 [a@1 x="1" y="2"][b z=""] It\'s time'

    assert decoded(line) == SyslogMessage(
        facility=20,
        severity=5,
        time_ns=time_ns("2003-08-24T12:14:15.000003+00:00"),
        host="web1",
        app="orders",
        process="8710",
        msgid="ID47",
        params=(("a@1", "x", "1"), ("a@1", "y", "2"), ("b", "z", "")),
        body="It's time",
    )


def test_nil_values_are_absent() -> None:
    assert decoded("<0>1 - - - - - -") == SyslogMessage(facility=0, severity=0, body="")


@pytest.mark.parametrize("line", go_syslog_inputs("rfc5424", valid=True))
def test_what_is_valid_rfc_5424_is_read_as_such(line: str) -> None:
    version_time_host_app = line.partition(">")[2].split(" ")
    message = decoded(line)

    assert message.facility * 8 + message.severity == int(line[1 : line.index(">")])
    assert (message.host or "-", message.app or "-") == tuple(version_time_host_app[2:4])
    assert (message.time_ns is None) == (version_time_host_app[1] == "-")
    assert "[" not in message.body


@pytest.mark.parametrize("line", go_syslog_inputs("rfc5424", valid=False))
def test_of_what_is_not_valid_no_word_is_lost(line: str) -> None:
    message = decoded(line)

    params = " ".join(" ".join(param) for param in message.params)
    kept = f"{message.body} {message.time_text} {message.host} {message.app} {message.process} {message.msgid} {params}"
    _pri, _, rest = line.rpartition(">") if message.facility * 8 + message.severity != 13 else ("", "", line)
    for word in re.split(r'[\s\[\]="]+', rest):
        is_read = word in ("", "-") or (word.isdigit() and len(word) <= 3)  # nil, the version
        is_time = message.time_ns is not None and word[:4].isdigit()
        assert is_read or is_time or word.replace("\\", "") in kept.replace("\\", "")


RFC_3164: dict[str, tuple[str, str, str, str, str, str]] = {
    # line after the time: host, app, process, body
    "host, tag and process": ("Oct 11 22:14:15", "web1 sudo[60]: joe : x", "web1", "sudo", "60", "joe : x"),
    "host and tag": ("Oct 11 22:14:15", "mymachine su: 'su root' failed", "mymachine", "su", "", "'su root' failed"),
    "a host only": ("Oct 11 22:14:15", "10.0.0.99 Use the BFG!", "10.0.0.99", "", "", "Use the BFG!"),
    "a tag only, as local senders": ("Oct 11 22:14:15", "CRON[1]: (root) CMD", "", "CRON", "1", "(root) CMD"),
    "an IPv6 host": ("Oct 11 22:14:15", "fe80::1%eth0 su[1]: x", "fe80::1%eth0", "su", "1", "x"),
    "a path as tag": ("Oct 11 22:14:15", "h postfix/smtpd[9]: x", "h", "postfix/smtpd", "9", "x"),
    "a tag that is no number": ("Oct 11 22:14:15", "h app[web.3]: x", "h", "app", "web.3", "x"),
    "Cisco's mnemonic is no tag": ("Oct 11 22:14:15", "%SYS-5-CONFIG_I: x", "", "", "", "%SYS-5-CONFIG_I: x"),
    "one word": ("Oct 11 22:14:15", "word", "", "", "", "word"),
    "nothing": ("Oct 11 22:14:15", "", "", "", "", ""),
    "JSON": ("Oct 11 22:14:15", '{"a": 1} b: c', "", "", "", '{"a": 1} b: c'),
}  # fmt: skip


@pytest.mark.parametrize(("time", "rest", "host", "app", "process", "body"), RFC_3164.values(), ids=RFC_3164.keys())
def test_rfc_3164_is_read(time: str, rest: str, host: str, app: str, process: str, body: str) -> None:
    message = decoded(f"<34>{time} {rest}")

    assert (message.facility, message.severity) == (4, 2)
    assert message.time_ns == time_ns("2025-10-11T22:14:15+01:00")
    assert (message.host, message.app, message.process, message.body) == (host, app, process, body)


@pytest.mark.parametrize("line", go_syslog_inputs("rfc3164", valid=True))
def test_go_syslogs_rfc_3164_is_read(line: str) -> None:
    message = decoded(line)

    assert message.time_ns is not None
    assert message.host == line.split(":", 2)[2].split()[1]
    assert line.endswith(message.body)


TIMES: dict[str, str] = {
    "Jan  2 03:04:05": "2026-01-02T03:04:05+01:00",
    "Jan 2 03:04:05": "2026-01-02T03:04:05+01:00",
    "jan 02 03:04:05": "2026-01-02T03:04:05+01:00",
    "Jan  2 03:04:05.250": "2026-01-02T03:04:05.250+01:00",
    "Jan  2 03:04:05 UTC": "2026-01-02T03:04:05+00:00",
    "Jan  2 03:04:05 +05:30": "2026-01-02T03:04:05+05:30",
    "Jul 06 2018 20:33:28": "2018-07-06T20:33:28+01:00",
    "Jul 06 2018 20:33:28:": "2018-07-06T20:33:28+01:00",
    "1990 Oct 22 10:52:01": "1990-10-22T10:52:01+01:00",
    "29: *Mar  1 18:48:50.483 UTC:": "2026-03-01T18:48:50.483+00:00",
    ": 2019 Mar  1 12:00:00.123:": "2019-03-01T12:00:00.123+01:00",
    "*Mar  1 18:48:50.483 CEST:": "2026-03-01T18:48:50.483+01:00",
    "2026-11-21T10:00:00+01:00": "2026-11-21T10:00:00+01:00",
    "2026-11-21T10:00:00.123456": "2026-11-21T10:00:00.123456+01:00",
    "2026-11-21T10:00:00Z": "2026-11-21T10:00:00+00:00",
}


@pytest.mark.parametrize(("text", "time"), TIMES.items())
def test_odd_forms_of_time_are_read(text: str, time: str) -> None:
    message = decoded(f"<13>{text} web1 orders: x")

    assert message.time_ns == time_ns(time)
    assert (message.host, message.app, message.body) == ("web1", "orders", "x")


@pytest.mark.parametrize(
    ("text", "received", "year"),
    [
        ("Dec 31 23:59:59", datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC), 2025),
        ("Jan  1 00:00:05", datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC), 2026),
        ("Feb 29 12:00:00", datetime(2025, 1, 15, tzinfo=UTC), 2024),
        ("Feb 29 12:00:00", datetime(2027, 12, 15, tzinfo=UTC), 2028),
    ],
)
def test_a_time_without_year_is_the_nearest(text: str, received: datetime, year: int) -> None:
    time = decoded(f"<13>{text} h a: x", received=received).time_ns

    assert time is not None
    assert datetime.fromtimestamp(time / 1e9, ZONE).year == year


def test_nanoseconds_and_leap_seconds_are_kept() -> None:
    assert decoded("<1>1 2016-12-31T23:59:60.123456789Z - - - - -").time_ns == 1_483_228_800_123_456_789
    assert decoded("<1>1 2003-09-29T22:09:01.000000001009Z - - - - -").time_ns == 1_064_873_341_000_000_001


@pytest.mark.parametrize(
    "text",
    ["2003-09-31T22:14:16Z", "2003-09-29T22:99:16Z", "2003-08-24T05:14:15-24:00", "2003-08-24T05:14:15-07:61",
     "1969-12-31T23:59:59Z", "2600-01-01T00:00:00Z", "2006-01-02T15:04:05Z+07:00"],
)  # fmt: skip
def test_a_time_that_cannot_be_is_kept_as_text(text: str) -> None:
    message = decoded(f"<1>1 {text} h a - - - x")

    assert (message.time_ns, message.time_text, message.host, message.body) == (None, text, "h", "x")


@pytest.mark.parametrize(
    ("line", "pri", "body"),
    [
        ("no PRI", 13, "no PRI"),
        ("<192>x", 13, "<192>x"),
        ("<19000021>1 - - - - - - x", 13, "<19000021>1 - - - - - - x"),
        ("<002>x", 13, "<002>x"),
        ("<-1>x", 13, "<-1>x"),
        ("<>x", 13, "<>x"),
        ("<14", 13, "<14"),
        ("<191>x", 191, "x"),
        ("<14>", 14, ""),
        ("<13>1 of 3 disks failed", 13, "1 of 3 disks failed"),
        ("<14>ValueError: no stock", 14, "ValueError: no stock"),
        ("<14>2026-01-02 03:04:05,678 INFO orders: x", 14, "2026-01-02 03:04:05,678 INFO orders: x"),
        ("2026-01-02T03:04:05Z INFO orders: x", 13, "2026-01-02T03:04:05Z INFO orders: x"),
        ("<13>Foo 32 25:61:61 h a: x", 13, "Foo 32 25:61:61 h a: x"),
        ("<1>1 -   - - - -", 1, "1 -   - - - -"),
        ("<1>1 - \nhostname - - - -", 1, "1 - \nhostname - - - -"),
    ],
)
def test_what_has_no_header_is_body(line: str, pri: int, body: str) -> None:
    assert decoded(line) == SyslogMessage(facility=pri >> 3, severity=pri & 7, body=body)


def test_a_line_of_a_file_without_pri_is_read() -> None:
    message = decoded("Mar 27 13:06:56 ip-10-77-20-248 sshd[1291]: Server listening")

    assert (message.host, message.app, message.process) == ("ip-10-77-20-248", "sshd", "1291")


def test_a_tag_with_its_process_needs_no_time() -> None:
    message = decoded("<14>orders[77]: no stock\0")

    assert (message.time_ns, message.app, message.process, message.body) == (None, "orders", "77", "no stock")


@pytest.mark.parametrize(
    ("structured_data", "params"),
    [
        (r'[m e="\]\"\\"]', (("m", "e", r"]\"".replace("\\", "") + "\\"),)),
        (r'[m e="a\nb"]', (("m", "e", r"a\nb"),)),
        ('[m e="]"]', (("m", "e", "]"),)),
        ('[m ip="1" ip="2"][m ip="3"]', (("m", "ip", "1"), ("m", "ip", "2"), ("m", "ip", "3"))),
        ("[m][n]", (("m", "", ""), ("n", "", ""))),
        ('[m e="two\nlines"]', (("m", "e", "two\nlines"),)),
    ],
)
def test_structured_data_is_read_with_its_escapes(
    structured_data: str, params: tuple[tuple[str, str, str], ...]
) -> None:
    message = decoded(f"<1>1 - h a - - {structured_data} text")

    assert (message.params, message.body) == (params, "text")


@pytest.mark.parametrize("rest", ['[m e="""] x', "[m e=] x", "[] x", "[=] x", '[m e="x', "State changed to up"])
def test_what_is_no_structured_data_is_body(rest: str) -> None:
    message = decoded(f"<40>1 2012-11-30T06:45:29+00:00 host app web.3 - {rest}")

    assert (message.app, message.process, message.params, message.body) == ("app", "web.3", (), rest)


def test_bytes_that_are_not_utf_8_stay_readable() -> None:
    assert decoded(b"<14>1 - h a - - - caf\xe9 \xff").body == "caf\\xe9 \\xff"


def test_the_byte_order_mark_is_no_text() -> None:
    assert decoded(b"<14>1 - h a - - - \xef\xbb\xbfcaf\xc3\xa9").body == "café"
    assert decoded(b"\xef\xbb\xbf<14>1 - h a - - - x").host == "h"


def test_line_ends_go_and_what_is_within_stays() -> None:
    assert decoded("<14>1 - h a - - - one\ntwo\0three\r\n\0").body == "one\ntwo\0three"
