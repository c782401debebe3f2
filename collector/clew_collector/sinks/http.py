"""What sinks that speak HTTP have in common: where to, with which headers and certificates, and what answers mean."""

import ipaddress
import re
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from clew_collector.errors import ConfigError
from clew_collector.secrets import Secret
from clew_collector.sinks.base import SinkUnavailable

MAX_REASON_LENGTH: Final = 300

_CONNECT_TIMEOUT_S: Final = 10.0
# As OpenSSL and gRPC put it.
_ANOTHER_HOST: Final = re.compile("is not valid for|hostname verification", re.I)
_UNKNOWN_AUTHORITY: Final = re.compile("certificate.verify.failed", re.I)


class ClientTls(BaseModel):
    """`tls` of a sink in clew.yaml: who is trusted, and who we are. Files are in PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    ca: Path | None = None
    """Who signed the server's certificate, if not an authority that this machine knows."""
    certificate: Path | None = None
    """Our own, for servers that ask for one."""
    key: Path | None = None
    """The private key of our own certificate, without a passphrase."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        return self


class HttpTarget(BaseModel):
    """Where an HTTP sink sends to, as far as all of them are alike."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    url: HttpUrl
    """The server's address."""
    headers: Mapping[str, Secret] = Field(default_factory=dict)
    """Sent with each request, such as `Authorization`."""
    tls: ClientTls = ClientTls()
    """For `https`."""
    timeout_s: float = Field(default=30, gt=0, le=600)
    """An answer that takes longer has failed, and the batch is sent again."""
    connections: int = Field(default=4, ge=1, le=64)
    """How many requests are under way at once."""

    @property
    def base_url(self) -> str:
        """The address without a slash at its end."""
        return str(self.url).rstrip("/")


def open_client(target: HttpTarget) -> httpx.Client:
    """A client for a target, which threads may share. Raises `ConfigError` if its certificates cannot be used."""
    return httpx.Client(
        verify=client_context(target.tls),
        headers={name: value.get_secret_value() for name, value in target.headers.items()},
        timeout=httpx.Timeout(target.timeout_s, connect=min(_CONNECT_TIMEOUT_S, target.timeout_s)),
        limits=httpx.Limits(max_connections=target.connections, max_keepalive_connections=target.connections),
    )


def is_here(url: str) -> bool:
    """Whether an address is this machine's own: compressing for it would cost both sides, and save nothing."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """What a client checks and shows. Raises `ConfigError` if a file is missing or is not what it should be."""
    name = "ca"
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        name = "certificate"
        if tls.certificate is not None:
            context.load_cert_chain(tls.certificate, tls.key, password=_no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"tls.{name}: {getattr(tls, name)} cannot be used: {error}") from error
    return context


def post(client: httpx.Client, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """The whole answer to a POST, whatever its status; raises `SinkUnavailable` if there is none."""
    try:
        return client.post(url, content=body, headers=headers)
    except httpx.TimeoutException as error:
        raise SinkUnavailable(f"{url}: no answer in time ({type(error).__name__})") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        said = str(error) or type(error).__name__
        raise SinkUnavailable(f"{url}: {said}{tls_hint(said)}") from error


def unavailable(url: str, response: httpx.Response) -> SinkUnavailable:
    """What to raise for an answer after which the same should be sent again later."""
    hint = "; check headers" if response.status_code in (401, 403) else ""
    return SinkUnavailable(f"{url}: {told(response)}{hint}", retry_after_s=retry_after_s(response))


def tls_hint(said: str) -> str:
    """What to look at after a certificate was not accepted, whichever library says so; else nothing."""
    if _ANOTHER_HOST.search(said):
        return "; check the address: the certificate is for another host"
    return "; check tls.ca" if _UNKNOWN_AUTHORITY.search(said) else ""


def told(response: httpx.Response) -> str:
    """An answer in one line: its status, and the beginning of what it says."""
    line = " ".join(response.text.split())[:MAX_REASON_LENGTH]
    return f"{response.status_code} {response.reason_phrase}{': ' if line else ''}{line}"


def retry_after_s(response: httpx.Response) -> float | None:
    """How long to wait, from `Retry-After` in seconds or as a date (RFC 9110, 10.2.3); `None` if it is not said."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time()) if value else None
    except ValueError:
        return None


def _no_passphrase() -> str:  # or OpenSSL would ask the terminal
    raise ConfigError("tls.key needs a passphrase; give a key without one, readable by clew only")
