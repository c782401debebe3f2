"""Where a collector listens, and what it says of a port that it cannot have."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from clew_collector.errors import ConfigError
from clew_server.commands.up import addresses
from clew_server.listeners import LISTENERS, OTLP_HTTP, SYSLOG, ZIPKIN, ZIPKIN_PORT, OpenListener
from clew_server.serving import Collector
from clew_server.sockets import listen
from tests.server.configs import configured
from tests.server.running_clew import clew


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_chosen_port_in_use_is_one_line_and_status_2(tmp_path: Path, taken_port: int) -> None:
    result = clew("up", "--data", str(tmp_path), "--port", "0", "--otlp-port", "0", "--zipkin-port", str(taken_port))

    assert result.returncode == 2
    assert result.stderr.strip().splitlines() == [
        f"clew: cannot listen on 127.0.0.1:{taken_port}: Address already in use; "
        "choose another port with --zipkin-port or receivers.zipkin.port"
    ]


def test_a_default_port_in_use_is_done_without(taken_port: int) -> None:
    found = OpenListener(replace(ZIPKIN, default_port=taken_port), configured())

    assert (found.sockets, found.url, found.health_url) == ([], None, None)
    assert found.line(width=8) == (
        f"Zipkin  not taken: cannot listen on 127.0.0.1:{taken_port}: Address already in use; "
        "choose another port with --zipkin-port or receivers.zipkin.port"
    )
    found.close()


def test_beside_a_real_zipkin_the_collector_starts_and_says_so(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with suppress(OSError):  # one that listens there already will do
            stack.enter_context(socket.create_server(("127.0.0.1", ZIPKIN_PORT)))
        collector = Collector(configured(tmp_path, otlp_http=0, dashboard=0))

    said = addresses(collector).splitlines()
    collector.close()

    assert any(line.startswith("  OTLP/HTTP   http://127.0.0.1:") for line in said)
    assert [line for line in said if "9411" in line] == [
        "  Zipkin      not taken: cannot listen on 127.0.0.1:9411: Address already in use; "
        "choose another port with --zipkin-port or receivers.zipkin.port"
    ]


def test_a_free_port_is_taken_and_told() -> None:
    config = configured(otlp_http=0, zipkin=0)
    otlp, zipkin = OpenListener(OTLP_HTTP, config), OpenListener(ZIPKIN, config)

    assert zipkin.url is not None
    assert zipkin.url.startswith("http://127.0.0.1:")
    assert zipkin.url != otlp.url
    assert (otlp.health_url, zipkin.health_url) == (f"{otlp.url}/healthz", f"{zipkin.url}/health")
    assert zipkin.line(width=8).startswith(f"Zipkin  {zipkin.url}   (")
    otlp.close()
    zipkin.close()


def test_a_listener_may_take_datagrams() -> None:
    listening = listen("127.0.0.1", 0, remedy="--x", transport="udp")
    with pytest.raises(ConfigError, match="choose another port with --x"):
        listen("127.0.0.1", listening.getsockname()[1], remedy="--x", transport="udp")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"hello", listening.getsockname())
    assert listening.recv(10) == b"hello"
    listening.close()


def test_syslog_has_one_port_for_both_transports() -> None:
    syslog = OpenListener(SYSLOG, configured(syslog=0))

    ports = {listening.type: listening.getsockname()[1] for listening in syslog.sockets}
    assert set(ports) == {socket.SOCK_STREAM, socket.SOCK_DGRAM}
    assert len(set(ports.values())) == 1
    assert (syslog.url, syslog.health_url) == (f"127.0.0.1:{ports[socket.SOCK_STREAM]}", None)
    syslog.close()


def test_a_port_that_one_transport_cannot_have_is_left_by_the_other() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="choose another port with --syslog-port"):
            OpenListener(SYSLOG, configured(syslog=port))

    listen("127.0.0.1", port, remedy="--x").close()


def test_each_way_in_has_a_name_and_an_option_of_its_own() -> None:
    assert len({listener.name for listener in LISTENERS}) == len(LISTENERS)
    assert len({listener.flag for listener in LISTENERS}) == len(LISTENERS)
