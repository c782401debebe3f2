"""HTTP over TLS for clients with a certificate: who is let in, who is counted, and how `clew import` shows one."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.collector.certificates import Authority, Signed
from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import RunningClew, clew, clew_up


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[RunningClew]:
    """One that lets only clients of the authority send, over TLS 1.3."""
    folder, signed = tmp_path_factory.mktemp("asking"), authority.sign()
    tls = (
        f"{{certificate: {signed.certificate}, key: {signed.key}, client_ca: {authority.certificate}, "
        "min_version: '1.3'}"
    )
    (folder / "clew.yaml").write_text(f"receivers:\n  otlp_http: {{tls: {tls}}}\n")
    with clew_up(folder / "data", "--config", str(folder / "clew.yaml")) as running:
        yield running


def a_file(folder: Path, *texts: str) -> str:
    path = folder / "logs.bin"
    path.write_bytes(logs(*map(a_log, texts)).SerializeToString())
    return str(path)


def shown(signed: Signed) -> list[str]:
    return ["--certificate", str(signed.certificate), "--key", str(signed.key)]


def client_context(authority: Authority, signed: Signed | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authority.certificate)
    if signed is not None:
        context.load_cert_chain(signed.certificate, signed.key)
    return context


def post(running: RunningClew, context: ssl.SSLContext) -> int:
    return httpx.post(f"{running.otlp_url}/v1/logs", json={}, verify=context).status_code


def of_a_stranger(authority: Authority, folder: Path) -> ssl.SSLContext:
    return client_context(authority, Authority(folder, name="stranger").sign("stranger"))


def of_one_too_old(authority: Authority, folder: Path) -> ssl.SSLContext:
    context = client_context(authority, authority.sign("old"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def refused(running: RunningClew) -> dict[str, float]:
    """What /metrics says was refused of OTLP/HTTP, by reason."""
    families = text_string_to_metric_families(httpx.get(f"{running.dashboard_url}/metrics").text)
    samples = [sample for family in families for sample in family.samples if sample.name == "clew_refused_total"]
    return {each.labels["reason"]: each.value for each in samples if each.labels["receiver"] == "otlp_http"}


@pytest.mark.parametrize(
    ("context_of", "reason"),
    [
        (lambda authority, _: client_context(authority), "TLS without a client certificate"),
        (of_a_stranger, "TLS with a client certificate that is not trusted"),
        (of_one_too_old, "TLS of a version that is too old"),
        (lambda *_: ssl.create_default_context(), "TLS broken off by the client"),
    ],
    ids=["no certificate", "a stranger's", "too old", "trusts nobody"],
)
def test_a_handshake_that_fails_is_counted_with_its_reason_and_others_go_on(
    running: RunningClew,
    authority: Authority,
    tmp_path: Path,
    context_of: Callable[[Authority, Path], ssl.SSLContext],
    reason: str,
) -> None:
    before = refused(running).get(reason, 0)

    with pytest.raises(httpx.TransportError):
        post(running, context_of(authority, tmp_path))

    running.wait_for(lambda: refused(running), lambda counts: counts.get(reason, 0) == before + 1)
    assert post(running, client_context(authority, authority.sign("known"))) == 200


def test_who_speaks_http_in_the_clear_is_counted(running: RunningClew) -> None:
    url = httpx.URL(running.otlp_url)

    with socket.create_connection((url.host, url.port or 443)) as connection, suppress(ConnectionError):
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.recv(1)

    running.wait_for(lambda: refused(running), lambda counts: counts.get("no TLS") == 1)


def test_what_is_there_already_is_said_and_not_counted_as_taken(
    running: RunningClew, authority: Authority, tmp_path: Path
) -> None:
    arguments = ("import", a_file(tmp_path, "a", "b"), "--data", str(running.data), *shown(authority.sign("importer")))

    first, again = clew(*arguments), clew(*arguments)

    assert (first.returncode, again.returncode) == (0, 0), first.stderr + again.stderr
    assert "took 2 log records" in first.stderr
    assert "left out" not in first.stderr
    assert "took 0 log records" in again.stderr
    assert "left out 2 records" in again.stderr


@pytest.mark.parametrize("has_one", [False, True], ids=["none", "a stranger's"])
def test_without_a_certificate_that_is_trusted_it_says_how_to_name_one(
    running: RunningClew, tmp_path: Path, has_one: bool
) -> None:
    options = shown(Authority(tmp_path, name="stranger").sign("stranger")) if has_one else []

    result = clew("import", a_file(tmp_path, "never"), "--data", str(running.data), *options)

    assert result.returncode == 1
    assert "name a certificate that it has signed with --certificate and --key" in " ".join(result.stderr.split())


def test_a_certificate_without_its_key_is_one_line_and_status_2(
    running: RunningClew, authority: Authority, tmp_path: Path
) -> None:
    signed = authority.sign("half")

    result = clew(
        "import", a_file(tmp_path, "never"), "--data", str(running.data), "--certificate", str(signed.certificate)
    )

    assert result.returncode == 2
    assert result.stderr.strip() == "clew: --certificate and --key come together"
