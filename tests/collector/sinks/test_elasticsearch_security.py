"""An Elasticsearch that asks who we are, and one that is not who it says: real keys, roles and certificates."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew_collector.sinks.base import SinkUnavailable
from clew_collector.spool import Spool
from tests.collector.certificates import Authority
from tests.collector.sinks.shipment import Streams, crash_before_the_cursor_moves, fill, lines, shipping
from tests.conftest import _give_up
from tests.servers import secure_elasticsearch
from tests.servers.missing import ServerMissingError
from tests.servers.secure_elasticsearch import ADMIN, SecureElasticsearch

WRITES = ["auto_configure", "create_doc", "read", "maintenance"]
INSTALLS = ["manage_index_templates", "manage_ilm"]
EACH_ONCE = Counter(f"line {number}" for number in range(200))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[SecureElasticsearch]:
    signed = authority.sign("es-1.example")
    try:
        with secure_elasticsearch.start(
            certificate=signed.certificate, key=signed.key, ca=authority.certificate
        ) as server:
            yield server
    except ServerMissingError as error:
        _give_up("Elasticsearch with security", error)


@pytest.fixture
def streams(server: SecureElasticsearch, authority: Authority) -> Streams:
    return Streams(server.url, basic_auth=ADMIN, ca_certs=str(authority.certificate))


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    fill(spool, *lines(2, 100))
    return spool


@pytest.fixture
def trust(authority: Authority) -> dict[str, Any]:
    return {"ca": authority.certificate}


def ship(data: Path, url: str, streams: Streams, **settings: Any) -> None:
    with shipping(data, url, streams, **settings) as loop:
        loop.drain()


def complaint(data: Path, url: str, streams: Streams, **settings: Any) -> str:
    """What is said of a batch that stays in the spool."""
    with shipping(data, url, streams, **settings) as loop, pytest.raises(SinkUnavailable) as told:
        loop.step()
    assert Spool(data / "spool").depth().payloads == 2
    return str(told.value)


def test_a_key_with_the_documented_privileges_installs_templates_writes_and_looks_up_what_is_there(
    tmp_path: Path, server: SecureElasticsearch, streams: Streams, spool: Spool, trust: dict[str, Any]
) -> None:
    key = server.api_key(cluster=INSTALLS, indices=WRITES)

    with crash_before_the_cursor_moves():
        ship(tmp_path, server.url, streams, api_key=key, tls=trust)
    streams.roll_over()
    ship(tmp_path, server.url, streams, api_key=key, tls=trust)

    assert server.client.get("/_index_template/clew-logs").status_code == 200
    assert spool.depth().payloads == 0
    assert streams.messages() == EACH_ONCE


def test_a_user_with_a_password_writes(
    tmp_path: Path, server: SecureElasticsearch, streams: Streams, spool: Spool, trust: dict[str, Any]
) -> None:
    user, password = ADMIN

    ship(tmp_path, server.url, streams, user=user, password=password, tls=trust)

    assert streams.messages() == EACH_ONCE


@pytest.mark.parametrize(
    ("who", "told"),
    [
        ({"user": ADMIN[0], "password": "wrong"}, "unable to authenticate user [admin]"),
        ({"api_key": "d3Jvbmc6d3Jvbmc="}, "unable to authenticate with provided credentials"),
        ({}, "missing authentication credentials"),
    ],
    ids=["a wrong password", "a wrong key", "nothing"],
)
def test_who_is_not_known_is_told_so_in_a_line(
    tmp_path: Path,
    server: SecureElasticsearch,
    streams: Streams,
    spool: Spool,
    trust: dict[str, Any],
    who: dict[str, str],
    told: str,
) -> None:
    line = complaint(tmp_path, server.url, streams, tls=trust, **who)

    assert "401 security_exception: " in line
    assert told in line
    assert line.endswith("; check api_key, or user and password")
    assert "\n" not in line
    assert "wrong" not in line


@pytest.mark.parametrize(("cluster", "granted_by"), [([], "monitor"), (["monitor"], "manage_index_templates")])
def test_a_key_that_may_not_install_templates_is_told_which_privilege_it_lacks(
    tmp_path: Path,
    server: SecureElasticsearch,
    streams: Streams,
    spool: Spool,
    trust: dict[str, Any],
    cluster: list[str],
    granted_by: str,
) -> None:
    streams.logs = f"shop-{streams.logs}"
    key = server.api_key(cluster=cluster, indices=WRITES)

    line = complaint(tmp_path, server.url, streams, api_key=key, tls=trust)

    assert "403 security_exception: " in line
    assert granted_by in line
    assert "install_templates" in line
    assert "\n" not in line


def test_a_key_that_may_not_write_is_told_so_and_nothing_is_lost(
    tmp_path: Path, server: SecureElasticsearch, streams: Streams, spool: Spool, trust: dict[str, Any]
) -> None:
    key = server.api_key(cluster=INSTALLS, indices=["read", "maintenance"])

    line = complaint(tmp_path, server.url, streams, api_key=key, tls=trust)

    assert f"{streams.logs}: 403 security_exception: " in line
    assert "create_doc" in line
    assert spool.dead_letters() == []


@pytest.mark.parametrize(
    ("cluster", "settings"), [(["monitor"], {}), ([], {"install_templates": False})], ids=["may look", "is told"]
)
def test_a_key_that_may_not_install_templates_writes_where_they_are_there(
    tmp_path: Path,
    server: SecureElasticsearch,
    streams: Streams,
    spool: Spool,
    trust: dict[str, Any],
    cluster: list[str],
    settings: dict[str, Any],
) -> None:
    user, password = ADMIN
    ship(tmp_path, server.url, streams, user=user, password=password, tls=trust)
    streams.logs = f"{streams.logs}-more"
    fill(spool, *lines(2, 100, start=1_000))

    key = server.api_key(cluster=cluster, indices=WRITES)
    ship(tmp_path, server.url, streams, api_key=key, tls=trust, **settings)

    [index] = streams.client.indices.get_mapping(index=streams.logs).values()
    assert index["mappings"]["properties"]["@timestamp"]["type"] == "date_nanos"
    assert sum(streams.messages().values()) == 200


def test_a_certificate_of_an_authority_that_is_not_trusted_is_a_line(
    tmp_path: Path, server: SecureElasticsearch, streams: Streams, spool: Spool
) -> None:
    other = Authority(tmp_path, name="other")

    line = complaint(tmp_path, server.url, streams, tls={"ca": other.certificate})

    assert "certificate verify failed: " in line
    assert server.url in line
    assert "\n" not in line


def test_a_certificate_of_another_host_is_a_line(
    tmp_path: Path, server: SecureElasticsearch, streams: Streams, spool: Spool, trust: dict[str, Any]
) -> None:
    url = server.url.replace("127.0.0.1", "localhost")

    line = complaint(tmp_path, url, streams, tls=trust)

    assert "certificate is not valid for 'localhost'" in line
    assert url in line
    assert "\n" not in line
