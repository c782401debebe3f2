"""TLS of listeners: certificate, key and who may connect, checked before anything listens."""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, field_validator

from clew_collector.errors import ConfigError
from clew_collector.model import record

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
# X509_V_ERR_*, openssl-verification-options(1).
_DATES: Final = {9: "is not valid yet", 10: "has expired"}
_ROUND_TRIPS: Final = 4
"""More than a handshake needs."""

log = structlog.get_logger(__name__)


class TlsConfig(BaseModel):
    """`tls` of a receiver in clew.yaml. Files are in PEM; `client_ca` lets only clients in that it has signed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    certificate: Path = Field(description="the listener's certificate, then those between it and a known authority")
    key: Path = Field(description="its private key, without a passphrase")
    client_ca: Path | None = Field(default=None, description="authorities of clients; others are turned away")
    min_version: Literal["1.2", "1.3"] = "1.2"

    @field_validator("min_version", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, float) else value  # YAML's 1.2 is a number


@record
class Pem:
    """What the files hold, for a library that takes bytes, as gRPC's."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None


def server_context(config: TlsConfig) -> ssl.SSLContext:
    """The context of a listener. Blocks for a few milliseconds, twice is safe.

    Raises `ConfigError` if a file is missing, is not what it should be, or if the key is another certificate's. A
    certificate that is out of date is a warning: senders that do not check go on.
    """
    context = _context_with_certificate(config)
    if (problem := _problem_of_dates(context, config.certificate)) is not None:
        log.warning("senders that check will not connect: the certificate " + problem, path=str(config.certificate))
    if config.client_ca is not None:
        _require_clients_of(context, config.client_ca)
    return context


def read_pem(config: TlsConfig) -> Pem:
    """The files' bytes, after the checks of `server_context`; raises what that raises."""
    server_context(config)
    return Pem(
        certificate=config.certificate.read_bytes(),
        key=config.key.read_bytes(),
        client_ca=None if config.client_ca is None else config.client_ca.read_bytes(),
    )


def _context_with_certificate(config: TlsConfig) -> ssl.SSLContext:
    for name, path in (("certificate", config.certificate), ("key", config.key)):
        _check_readable(name, path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[config.min_version]

    def no_passphrase() -> str:  # or OpenSSL would ask the terminal
        raise ConfigError(f"tls.key: {config.key} needs a passphrase; give a key without one, readable by clew only")

    try:
        context.load_cert_chain(config.certificate, config.key, password=no_passphrase)
    except ssl.SSLError as error:
        raise ConfigError(_what_is_wrong(config, error)) from error
    return context


def _check_readable(name: str, path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ConfigError(f"tls.{name}: cannot read {path}: {error.strerror}") from error


def _what_is_wrong(config: TlsConfig, error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"tls.key: {config.key} is not the key of the certificate {config.certificate}"
    if b"-----BEGIN CERTIFICATE" not in config.certificate.read_bytes():
        return f"tls.certificate: {config.certificate} holds no certificate in PEM"
    if b"PRIVATE KEY-----" not in config.key.read_bytes():
        return f"tls.key: {config.key} holds no private key in PEM"
    return f"tls: {config.certificate} and {config.key} cannot be used: {error.reason or error}"


def _require_clients_of(context: ssl.SSLContext, client_ca: Path) -> None:
    _check_readable("client_ca", client_ca)
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise ConfigError(f"tls.client_ca: {client_ca} holds no certificate in PEM") from error
    context.verify_mode = ssl.CERT_REQUIRED


def _problem_of_dates(context: ssl.SSLContext, certificate: Path) -> str | None:
    """What is wrong with a certificate's dates, as a client finds it that knows the certificate itself."""
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client_context.load_verify_locations(certificate)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server)
    try:
        for _ in range(_ROUND_TRIPS):
            for side in (client, server):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
    except ssl.SSLCertVerificationError as error:
        return _DATES.get(error.verify_code)
    except ssl.SSLError:
        return None  # nothing about dates
    return None
