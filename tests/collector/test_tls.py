"""What is wrong with a certificate or a key is said before anything listens."""

import socket
import ssl
from pathlib import Path
from threading import Thread

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from clew_collector.errors import ConfigError
from clew_collector.tls import TlsConfig, read_pem, server_context
from tests.collector.certificates import Authority, Signed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def config_of(signed: Signed, **more: object) -> TlsConfig:
    return TlsConfig.model_validate({"certificate": signed.certificate, "key": signed.key, **more})


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> str | None:
    """The TLS version that both agree on; raises what the client is told."""
    ours, theirs = socket.socketpair()
    ours.settimeout(10)

    def serve() -> None:
        try:
            with server.wrap_socket(theirs, server_side=True) as connection:
                connection.sendall(b"hello")
        except OSError:
            theirs.close()

    serving = Thread(target=serve)
    serving.start()
    try:
        with client.wrap_socket(ours, server_hostname="localhost") as connection:
            # TLS 1.3: only now does a client learn that its certificate was refused.
            assert connection.recv(5) == b"hello"
            return connection.version()
    finally:
        ours.close()
        serving.join()


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(authority.certificate))


def test_a_client_that_trusts_the_authority_connects(authority: Authority) -> None:
    with capture_logs() as logs:
        context = server_context(config_of(authority.sign()))

    assert shake_hands(context, trusting(authority)) == "TLSv1.3"
    assert logs == []


def test_only_clients_of_the_authority_are_let_in(authority: Authority, tmp_path: Path) -> None:
    context = server_context(config_of(authority.sign(), client_ca=authority.certificate))
    stranger = Authority(tmp_path, name="stranger").sign("stranger")
    known = authority.sign("shipper")

    for signed in (None, stranger):
        client = trusting(authority)
        if signed is not None:
            client.load_cert_chain(signed.certificate, signed.key)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake_hands(context, client)
    client = trusting(authority)
    client.load_cert_chain(known.certificate, known.key)
    assert shake_hands(context, client) is not None


@pytest.mark.parametrize("version", ["1.2", "1.3", 1.2])
def test_the_oldest_version_is_as_configured(authority: Authority, version: object) -> None:
    context = server_context(config_of(authority.sign(), min_version=version))
    client = trusting(authority)
    client.maximum_version = ssl.TLSVersion.TLSv1_2

    if version == "1.3":
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shake_hands(context, client)
    else:
        assert shake_hands(context, client) == "TLSv1.2"


def test_an_older_version_cannot_be_configured(authority: Authority) -> None:
    with pytest.raises(ValidationError, match="min_version"):
        config_of(authority.sign(), min_version="1.1")


@pytest.mark.parametrize(("days", "said"), [(-1, ["has expired"]), (1, [])])
def test_a_certificate_that_has_expired_is_a_warning(authority: Authority, days: int, said: list[str]) -> None:
    with capture_logs() as logs:
        server_context(config_of(authority.sign(days=days)))

    assert [log["event"][-len("has expired") :] for log in logs] == said


def test_what_cannot_be_used_is_named(authority: Authority, tmp_path: Path) -> None:
    good, other = authority.sign(), authority.sign("other")
    locked = authority.sign("locked", passphrase=b"secret")
    absent, text = tmp_path / "absent.pem", tmp_path / "text.pem"
    text.write_text("no PEM")
    cases = {
        f"tls.certificate: cannot read {absent}: No such file": Signed(absent, good.key),
        f"tls.key: cannot read {absent}: No such file": Signed(good.certificate, absent),
        f"tls.key: {other.key} is not the key of the certificate {good.certificate}": Signed(
            good.certificate, other.key
        ),
        f"tls.certificate: {text} holds no certificate": Signed(text, good.key),
        f"tls.key: {text} holds no private key": Signed(good.certificate, text),
        f"tls.key: {locked.key} needs a passphrase": locked,
    }
    for said, signed in cases.items():
        with pytest.raises(ConfigError) as raised:
            server_context(config_of(signed))
        assert str(raised.value).startswith(said)

    for path, said in ((absent, "cannot read"), (text, "holds no certificate")):
        with pytest.raises(ConfigError, match=f"tls.client_ca: .*{said}"):
            server_context(config_of(good, client_ca=path))


def test_the_bytes_of_the_files_are_those_of_the_files(authority: Authority) -> None:
    signed = authority.sign()

    pem = read_pem(config_of(signed, client_ca=authority.certificate))

    assert pem.certificate == signed.certificate.read_bytes()
    assert pem.key == signed.key.read_bytes()
    assert pem.client_ca == authority.certificate.read_bytes()
