"""What the page on syslog tells the owner of each sender to write, given to that sender."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from clew_collector.receivers.syslog import SyslogConfig
from clew_collector.tls import TlsConfig, server_context
from tests.collector.certificates import Authority
from tests.collector.receivers.test_syslog import Intake, eventually
from tests.docs.pages import blocks, read_page
from tests.server.running_clew import RunningClew, clew_up
from tests.servers.processes import Server
from tests.servers.syslog_daemon import SyslogDaemon

PAGE = "receivers/syslog.md"
MESSAGE = '<11>1 2026-09-21T14:13:20.5+02:00 web1 orders 77 - [x@1 request_id="{id}"] no stock'


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("syslog")) as collector:
        yield collector


def configuration(language: str, *, port: int = 5514) -> str:
    """The one block of the page in this language for this port."""
    [block] = [block for block in blocks(PAGE, language) if str(port) in block]
    return block


def here(text: str, collector: RunningClew) -> str:
    """A text of the page for the port that this collector has."""
    assert "5514" in text
    return text.replace("5514", str(collector.syslog_address[1]))


def logs_of(collector: RunningClew, id: str) -> list[dict[str, Any]]:
    url = f"{collector.dashboard_url}/requests/{id}?format=json"
    logs: list[dict[str, Any]] = collector.wait_for(
        lambda: httpx.get(url), lambda answer: answer.is_success and bool(answer.json()["logs"])
    ).json()["logs"]
    return logs


def send_by_datagram(daemon: Server, message: str) -> None:
    host, _, port = daemon.url.partition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(message.encode(), (host, int(port)))


def test_a_daemon_configured_by_the_page_sends_lines_on_with_all_they_say(
    collector: RunningClew, syslog_daemon: SyslogDaemon
) -> None:
    id = f"via-{syslog_daemon.name}"
    with syslog_daemon.sending_on(here(configuration(syslog_daemon.name), collector)) as daemon:
        send_by_datagram(daemon, MESSAGE.format(id=id))
        [log] = logs_of(collector, id)

    assert (log["service"], log["body"], log["severity_text"]) == ("orders", "no stock", "err")
    assert log["resource"]["host.name"] == "web1"
    assert log["attributes"]["process.pid"] == 77
    assert log["time_ns"] == 1_789_992_800_500_000_000


def test_a_daemon_configured_by_the_page_sends_over_tls_to_whom_it_knows(
    syslog_daemon: SyslogDaemon, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    ours, theirs = authority.sign("clew.example.com"), authority.sign("web1")
    tls = TlsConfig(certificate=ours.certificate, key=ours.key, client_ca=authority.certificate)
    intake = Intake(tls=server_context(tls))

    async def send() -> None:
        rules = configuration(syslog_daemon.name, port=6514)
        rules = rules.replace("6514", str(intake.tls_address[1])).replace("/etc/clew/", f"{tmp_path}/")
        with syslog_daemon.sending_on(rules) as daemon:
            send_by_datagram(daemon, MESSAGE.format(id="by-tls"))
            await eventually(lambda: bool(intake.logs))

    intake.take(send, until=lambda: True)

    assert theirs.certificate.name == "web1.crt"
    assert intake.bodies == ["no stock"]
    assert intake.counts == {}


def test_a_daemon_does_not_send_to_a_stranger(syslog_daemon: SyslogDaemon, tmp_path: Path) -> None:
    known, stranger = Authority(tmp_path), Authority(tmp_path, name="stranger")
    ours, _ = stranger.sign("clew.example.com"), known.sign("web1")
    intake = Intake(tls=server_context(TlsConfig(certificate=ours.certificate, key=ours.key)))

    async def send() -> None:
        rules = configuration(syslog_daemon.name, port=6514)
        rules = rules.replace("6514", str(intake.tls_address[1])).replace("/etc/clew/", f"{tmp_path}/")
        with syslog_daemon.sending_on(rules) as daemon:
            send_by_datagram(daemon, MESSAGE.format(id="by-tls"))
            await eventually(lambda: bool(intake.counts))

    intake.take(send, until=lambda: True)

    assert intake.logs == []
    assert set(intake.counts) == {"refused: TLS broken off by the client"}


def test_the_section_of_clew_yaml_on_the_page_is_understood() -> None:
    section = yaml.safe_load(configuration("yaml", port=6514))["receivers"]["syslog"]

    config = SyslogConfig.model_validate(section)

    assert config.tls is not None
    assert (config.tls_port, config.tls.client_ca) == (6514, Path("/etc/clew/ca.pem"))


def test_pythons_handler_configured_by_the_page_joins_the_request(collector: RunningClew, tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(here(read_page(PAGE).files["orders.py"], collector))
    subprocess.run([sys.executable, "orders.py"], cwd=tmp_path, check=True, timeout=60)

    [log] = logs_of(collector, "my-order")

    assert (log["service"], log["body"]) == ("orders", "stock is low")
    assert log["attributes"]["syslog.msgid"] == "orders.checkout"


@pytest.mark.usefixtures("logger")
def test_the_command_of_the_page_makes_a_request(collector: RunningClew) -> None:
    subprocess.run(here(read_page(PAGE).command("logger"), collector), shell=True, check=True, timeout=60)

    [log] = logs_of(collector, "my-request")

    assert (log["service"], log["body"]) == ("backup", "disk is nearly full")
