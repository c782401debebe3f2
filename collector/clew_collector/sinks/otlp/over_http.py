"""OTLP/HTTP with protobuf bodies (https://opentelemetry.io/docs/specs/otlp/#otlphttp)."""

import gzip
from typing import Final

from clew_collector.model import Signal
from clew_collector.sinks.http import open_client, post, told, unavailable
from clew_collector.sinks.otlp.answers import BodyRefused
from clew_collector.sinks.otlp.config import OtlpSinkConfig

_HEADERS: Final = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
_GZIP_LEVEL: Final = 1
# What the body itself is to blame for. The specification would also give up after 401, 404 and 500: a person may yet
# mend those, and until then nothing is lost here.
_REFUSALS: Final = (400, 413, 422)


class HttpTransport:
    """See `Transport`. Raises `ConfigError` if the certificates cannot be used."""

    def __init__(self, config: OtlpSinkConfig) -> None:
        self._urls: dict[Signal, str] = {signal: f"{config.base_url}/v1/{signal}" for signal in config.signals}
        self._client = open_client(config)

    def send(self, signal: Signal, body: bytes) -> bytes:
        """See `Transport.send`."""
        url = self._urls[signal]
        response = post(self._client, url, gzip.compress(body, _GZIP_LEVEL, mtime=0), _HEADERS)
        if response.is_success:
            return response.content
        if response.status_code in _REFUSALS:
            raise BodyRefused(told(response))
        raise unavailable(url, response)

    def close(self) -> None:
        """See `Transport.close`."""
        self._client.close()
