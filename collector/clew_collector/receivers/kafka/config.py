"""What a person writes about Kafka in clew.yaml."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew_collector.model import Signal
from clew_collector.secrets import Secret
from clew_collector.wire.encodings import Encoding

_TOPIC_NAME = r"^[a-zA-Z0-9._-]{1,249}$"


class KafkaSecurity(BaseModel):
    """`security` of a Kafka receiver: how to speak to its brokers. Files are in PEM."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    protocol: Literal["SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(description="As the brokers' listener has it.")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="How the password is shown to be known, with SASL."
    )
    user: str | None = Field(default=None, min_length=1, description="With SASL.")
    password: Secret | None = Field(default=None, description="With SASL.")
    ca: Path | None = Field(default=None, description="Who signed the brokers' certificates, if not a known authority.")
    certificate: Path | None = Field(default=None, description="Our own, for brokers that ask for one.")
    key: Path | None = Field(default=None, description="The private key of our own certificate.")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.protocol.startswith("SASL") and (self.user is None or self.password is None):
            raise ValueError(f"{self.protocol} needs user and password")
        if not self.protocol.startswith("SASL") and (self.user is not None or self.password is not None):
            raise ValueError(f"user and password are for SASL, protocol is {self.protocol}: SASL_SSL?")
        if self.protocol == "SASL_PLAINTEXT" and (self.ca or self.certificate or self.key):
            raise ValueError("ca, certificate and key are for TLS, protocol is SASL_PLAINTEXT: SASL_SSL?")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key come together")
        return self


class KafkaConfig(BaseModel):
    """An item of `receivers.kafka` in clew.yaml: topics of one cluster, read as a member of a consumer group."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    brokers: tuple[str, ...] = Field(min_length=1, description="`host:port` of some of them; they name the others.")
    topics: dict[Signal, str] = Field(
        default={"logs": "otlp_logs", "traces": "otlp_spans"},
        min_length=1,
        description="The topic of each signal, `logs` and `traces`; a signal that is left out is not read.",
    )
    group_id: str = Field(
        default="clew",
        min_length=1,
        max_length=249,
        description="The consumer group. Collectors of one group share the partitions among them.",
    )
    member: str | None = Field(
        default=None,
        pattern=_TOPIC_NAME,
        description="This collector's lasting name in the group (`group.instance.id`), which no other has: after a "
        "crash it goes on at once, not after `session_timeout_s`.",
    )
    encoding: Encoding = Field(default="otlp_proto", description="What a message holds.")
    start_at: Literal["earliest", "latest"] = Field(
        default="earliest", description="Where the group begins with a partition that it has never read."
    )
    session_timeout_s: float = Field(
        default=10, ge=6, le=1800, description="A collector that is silent for so long loses its partitions to others."
    )
    security: KafkaSecurity | None = Field(default=None, description="Without it, plain text and no password.")

    @model_validator(mode="after")
    def _topics_fit(self) -> Self:
        if len(set(self.topics.values())) < len(self.topics):
            raise ValueError("topics must differ: a message is not asked which signal it is")
        if self.encoding.startswith("zipkin") and set(self.topics) != {"traces"}:
            raise ValueError(f"encoding {self.encoding} is for traces only: topics must be {{traces: NAME}}")
        return self
