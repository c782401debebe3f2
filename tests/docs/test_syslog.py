"""What the page on syslog tells the owner of each sender to write, given to that sender."""

import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.pages import DOCS, read_page
from tests.server.running_clew import RunningClew, clew_up
from tests.servers.processes import free_port, running, temporary_folder

PAGE = "receivers/syslog.md"
MESSAGE = '<11>1 2026-09-21T14:13:20.5+02:00 web1 orders 77 - [x@1 request_id="{id}"] no stock'
INPUTS = {
    "rsyslog": 'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}")\n',
    "syslog-ng": (
        "@version: 3.38\noptions { keep-hostname(yes); };\n"
        'source s_src { syslog(ip("127.0.0.1") port({port}) transport("udp")); };\n'
    ),
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClew]:
    with clew_up(tmp_path_factory.mktemp("syslog")) as collector:
        yield collector


def configuration(language: str) -> str:
    """The one block of the page in a daemon's language."""
    [block] = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / PAGE).read_text(), re.MULTILINE | re.DOTALL)
    return str(block)


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


def is_udp_port_open(port: int) -> bool:
    """Whether a daemon has bound its port: nobody else can then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def daemon_argv(name: str, folder: Path) -> list[str]:
    """How a syslog daemon runs in the foreground with all it writes in one folder."""
    executable = shutil.which({"rsyslog": "rsyslogd"}.get(name, name))
    if executable is None:
        pytest.skip(f"{name} is not installed")
    if name == "rsyslog":
        return [executable, "-n", "-f", f"{folder}/conf", "-i", f"{folder}/pid"]
    own = [f"--{option}={folder}/{option}" for option in ("persist-file", "pidfile", "control")]
    return [executable, "--foreground", "--no-caps", f"--cfgfile={folder}/conf", *own]


@pytest.mark.parametrize("name", ["rsyslog", "syslog-ng"])
def test_a_daemon_configured_by_the_page_sends_lines_on_with_all_they_say(collector: RunningClew, name: str) -> None:
    port = free_port()
    with temporary_folder(name) as folder:
        argv = daemon_argv(name, folder)
        conf = INPUTS[name].replace("{port}", str(port)) + here(configuration(name), collector)
        (folder / "conf").write_text(conf)
        with (
            running(argv, name=name, is_ready=lambda: is_udp_port_open(port), folder=folder),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            sender.sendto(MESSAGE.format(id=f"via-{name}").encode(), ("127.0.0.1", port))
            [log] = logs_of(collector, f"via-{name}")

    assert (log["service"], log["body"], log["severity_text"]) == ("orders", "no stock", "err")
    assert log["resource"]["host.name"] == "web1"
    assert log["attributes"]["process.pid"] == 77
    assert log["time_ns"] == 1_789_992_800_500_000_000


def test_pythons_handler_configured_by_the_page_joins_the_request(collector: RunningClew, tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(here(read_page(PAGE).files["orders.py"], collector))
    subprocess.run([sys.executable, "orders.py"], cwd=tmp_path, check=True, timeout=60)

    [log] = logs_of(collector, "my-order")

    assert (log["service"], log["body"]) == ("orders", "stock is low")
    assert log["attributes"]["syslog.msgid"] == "orders.checkout"


@pytest.mark.skipif(shutil.which("logger") is None, reason="util-linux's logger is not here")
def test_the_command_of_the_page_makes_a_request(collector: RunningClew) -> None:
    subprocess.run(here(read_page(PAGE).command("logger"), collector), shell=True, check=True, timeout=60)

    [log] = logs_of(collector, "my-request")

    assert (log["service"], log["body"]) == ("backup", "disk is nearly full")
