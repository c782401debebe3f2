"""What a person writes about an OTLP sink in clew.yaml."""

from typing import Literal

from pydantic import Field

from clew_collector.model import SIGNALS, Signal
from clew_collector.sinks.http import HttpTarget


class OtlpSinkConfig(HttpTarget):
    """`type: otlp`, an item of `sinks` in clew.yaml."""

    type: Literal["otlp"] = "otlp"
    name: str = Field(default="otlp", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """What it is called on the Health page. The queue remembers by it how far it has come."""
    protocol: Literal["http", "grpc"] = "http"
    """With `grpc` the address is `http://HOST:PORT` or, with TLS, `https://HOST:PORT`."""
    signals: frozenset[Signal] = Field(default=frozenset(SIGNALS), min_length=1)
    """What is sent on."""
