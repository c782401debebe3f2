"""Lines that come by syslog are on the page of the request that they belong to, beside its spans."""

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collector.certificates import Authority
from tests.collector.otlp_builders import SPAN, T0_NS, TRACE, a_span, traces
from tests.collector.wire.syslog.messages import go_syslog_inputs
from tests.server.running_clew import RunningClew, clew_up
from tests.servers.processes import free_port
from tests.servers.syslog_daemon import SyslogDaemon

PROTOBUF = {"content-type": "application/x-protobuf"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("syslog"), "--syslog-ids-in-text") as running:
        yield running


def logs_of(running: RunningClew, id: str, *, count: int) -> dict[str, Any]:
    """The lines of a request by their text, once there are so many."""
    url = f"{running.dashboard_url}/requests/{id}?format=json"
    answer = running.wait_for(
        lambda: httpx.get(url), lambda answer: answer.is_success and len(answer.json()["logs"]) == count
    )
    return {log["body"]: log for log in answer.json()["logs"]}


def health_of(running: RunningClew) -> dict[str, Any]:
    form: dict[str, Any] = httpx.get(f"{running.dashboard_url}/health?format=json").json()
    return form


def test_lines_with_a_requests_ids_are_on_its_page(running: RunningClew) -> None:
    span = traces(a_span(correlation_id="order-7")).SerializeToString()
    httpx.post(f"{running.otlp_url}/v1/traces", content=span, headers=PROTOBUF).raise_for_status()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(
            b'<11>1 2026-09-21T14:13:20Z db1 postgres 99 - [x@1 request_id="order-7"] by UDP', running.syslog_address
        )
    with socket.create_connection(running.syslog_address) as connection:
        connection.sendall(f"<14>1 - h nginx - - [x@1 traceId={TRACE!r}] unread\n".replace("'", '"').encode())
        connection.sendall(f"<14>Sep 21 14:13:20 h cron[7]: by TCP trace_id={TRACE} span_id={SPAN}\n".encode())

    logs = logs_of(running, "order-7", count=3)

    by_udp = logs["by UDP"]
    assert (by_udp["service"], by_udp["severity_number"], by_udp["correlation_id"]) == ("postgres", 17, "order-7")
    assert by_udp["resource"]["host.name"] == "db1"
    assert by_udp["time_ns"] == T0_NS
    by_tcp = logs[f"by TCP trace_id={TRACE} span_id={SPAN}"]
    assert (by_tcp["service"], by_tcp["span_id"]) == ("cron", SPAN)
    assert logs["unread"]["trace_id"] == TRACE


def test_what_logger_is_given_in_a_shell_joins_the_request(running: RunningClew, logger: str) -> None:
    host, port = running.syslog_address
    subprocess.run(
        [
            *(logger, "--server", host, "--port", str(port), "--tcp", "--octet-count", "--rfc5424"),
            *("--tag", "backup", "--sd-id", "clew@32473", "--sd-param", 'request_id="backup-1"', "done\nin two lines"),
        ],
        check=True,
    )

    logs = logs_of(running, "backup-1", count=1)

    [log] = logs.values()
    assert log["service"] == "backup"
    assert log["body"].startswith("done")


TLS_RULES = {
    "rsyslog": (
        'action(type="omfwd" target="127.0.0.1" port="{port}" protocol="tcp" TCP_Framing="octet-counted"'
        ' template="RSYSLOG_SyslogProtocol23Format" StreamDriver="ossl" StreamDriverMode="1"'
        ' StreamDriver.CAFile="{ca}" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="localhost")\n'
    ),
    "syslog-ng": (
        'destination d_clew { syslog("127.0.0.1" port({port}) transport("tls")'
        ' tls(ca-file("{ca}") peer-verify(required-trusted))); };\n'
        "log { source(s_src); destination(d_clew); };\n"
    ),
}


def test_lines_of_a_daemon_over_tls_join_the_request(syslog_daemon: SyslogDaemon, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signed = authority.sign()
    port = free_port()
    tls = {"certificate": str(signed.certificate), "key": str(signed.key)}
    config = tmp_path / "clew.yaml"
    config.write_text(json.dumps({"receivers": {"syslog": {"tls_port": port, "tls": tls}}}))
    rules = TLS_RULES[syslog_daemon.name].replace("{port}", str(port)).replace("{ca}", str(authority.certificate))
    with clew_up(tmp_path / "data", "--config", str(config)) as running, syslog_daemon.sending_on(rules) as daemon:
        host, _, udp_port = daemon.url.partition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b'<11>1 - web1 orders 7 - [x@1 request_id="by-tls"] no stock', (host, int(udp_port)))

        logs = logs_of(running, "by-tls", count=1)

    assert logs["no stock"]["service"] == "orders"


def test_whatever_comes_is_stored_or_counted(running: RunningClew) -> None:
    inputs = go_syslog_inputs("rfc5424", valid=False) + go_syslog_inputs("rfc5424", valid=True)
    lines = [*(line.encode() for line in inputs), b"\xff\xfe\0\x01", b"<14>a\0b", b'<14>1 - - - - - [a b="\xff\0"]']
    before = health_of(running)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(line, running.syslog_address)

    empty = lines.count(b"")
    expected = before["stored"]["logs"] + len(lines) - empty
    after = running.wait_for(lambda: health_of(running), lambda form: form["stored"]["logs"] >= expected)
    assert after["stored"]["logs"] == expected
    assert after["refused"] == {"logs: empty datagram": empty}
    assert after["dropped"] == {}


def test_ten_thousand_equal_lines_are_all_there(running: RunningClew) -> None:
    line = b"<14>1 - h equal - - - the same\n"
    with socket.create_connection(running.syslog_address) as connection:
        connection.sendall(line * 10_000)

    stored = running.wait_for(lambda: health_of(running), lambda form: form["stored"]["logs"] >= 10_000)

    assert stored["dropped"] == {}
