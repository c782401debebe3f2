"""What a person writes about a Kafka sink in clew.yaml."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew_collector.model import Signal
from clew_collector.secrets import Secret


class KafkaSinkSecurity(BaseModel):
    """`security` of a Kafka sink: how to speak to its brokers. Files are in PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"]
    """As the brokers' listener has it."""
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    """How the password is shown to be known, with SASL."""
    user: str | None = Field(default=None, min_length=1)
    """With SASL."""
    password: Secret | None = None
    """With SASL."""
    ca: Path | None = None
    """Who signed the brokers' certificates, if not a known authority."""
    certificate: Path | None = None
    """Our own, for brokers that ask for one."""
    key: Path | None = None
    """The private key of our own certificate."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.protocol.startswith("SASL") != (self.user is not None and self.password is not None):
            raise ValueError(f"user and password are for SASL, and needed there; protocol is {self.protocol}")
        if self.protocol == "SASL_PLAINTEXT" and (self.ca or self.certificate or self.key):
            raise ValueError("ca, certificate and key are for TLS, protocol is SASL_PLAINTEXT: SASL_SSL?")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        return self


class KafkaSinkConfig(BaseModel):
    """`type: kafka`, an item of `sinks` in clew.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["kafka"] = "kafka"
    name: str = Field(default="kafka", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """What it is called on the Health page. The queue remembers by it how far it has come."""
    brokers: tuple[str, ...] = Field(min_length=1)
    """`host:port` of some of them; they name the others."""
    topics: dict[Signal, str] = Field(default={"logs": "otlp_logs", "traces": "otlp_spans"}, min_length=1)
    """The topic of each signal, `logs` and `traces`; a signal that is left out is not sent."""
    compression: Literal["none", "gzip", "lz4", "zstd"] = "zstd"
    """Of Kafka's batches."""
    max_message_bytes: int = Field(default=900_000, ge=10_000, le=100 << 20)
    """What is larger is cut in two. Below `max.message.bytes` of the topics, which is 1,048,588 by default."""
    timeout_s: float = Field(default=30, ge=1, le=600)
    """A message that the brokers have not acknowledged by then has failed, and is sent again."""
    security: KafkaSinkSecurity | None = None
    """Without it, plain text and no password."""

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        if len(set(self.topics.values())) < len(self.topics):
            raise ValueError("topics must differ: a message does not say which signal it is")
        return self
