"""The model of clew.yaml: what a collector runs with, checked before anything starts."""

from pathlib import Path
from typing import Self

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew_collector.keys import KeyConfig
from clew_collector.processors.config import ProcessorConfig
from clew_collector.processors.thinning import ThinningConfig
from clew_collector.receivers.elastic_bulk import ElasticBulkConfig
from clew_collector.receivers.kafka.config import KafkaConfig
from clew_collector.receivers.otlp_grpc import OtlpGrpcConfig
from clew_collector.receivers.otlp_http import OtlpHttpConfig
from clew_collector.receivers.syslog import SyslogConfig
from clew_collector.receivers.tail.config import TailConfig
from clew_collector.receivers.zipkin import ZipkinConfig
from clew_collector.sinks.config import SinkConfig
from clew_collector.spool import STORE


def default_data() -> Path:
    """Where data is kept if nobody says: a directory of the user's."""
    return Path(platformdirs.user_data_dir("clew", appauthor=False))


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReceiversConfig(_Section):
    """`receivers`: the ways in."""

    otlp_http: OtlpHttpConfig = Field(default=OtlpHttpConfig(), description="OTLP over HTTP.")
    otlp_grpc: OtlpGrpcConfig = Field(default=OtlpGrpcConfig(), description="OTLP over gRPC.")
    zipkin: ZipkinConfig = Field(default=ZipkinConfig(), description="Zipkin's reporters.")
    elastic_bulk: ElasticBulkConfig = Field(
        default=ElasticBulkConfig(), description="Shippers that write to Elasticsearch."
    )
    syslog: SyslogConfig = Field(default=SyslogConfig(), description="Syslog.")
    tail: tuple[TailConfig, ...] = Field(default=(), description="Log files to follow.")
    kafka: tuple[KafkaConfig, ...] = Field(default=(), description="Kafka's topics to read.")


class SpoolConfig(_Section):
    """`spool`: the queue on disk between the receivers and the store."""

    max_bytes: int = Field(
        default=2 << 30, ge=1 << 20, description="What waits at most; beyond it, senders are told to try again later."
    )
    reserve_bytes: int = Field(
        default=128 << 20,
        ge=0,
        description="Left free on the disk, for the store; below it, senders are told to try again later.",
    )
    max_age_s: float | None = Field(
        default=None, gt=0, description="What has waited for longer is dropped, and counted. Without it nothing is."
    )


class StoreConfig(_Section):
    """`store`: the embedded store."""

    memory_bytes: int = Field(default=256 << 20, ge=128 << 20, description="What DuckDB may take.")


class DashboardConfig(_Section):
    """`dashboard`: the pages, for this machine only."""

    port: int = Field(default=8840, ge=0, le=65535, description="0 is any free one.")


class TelemetryConfig(_Section):
    """`telemetry`: what the collector says of itself."""

    observe_itself: bool = Field(
        default=True, description="Its own lines and pages are kept with the rest, as services of their own."
    )


class CollectorConfig(_Section):
    """What `clew up` runs with. Sizes are in bytes, times in seconds."""

    data: Path = Field(
        default_factory=default_data, description="Where logs, spans and the spool are kept; of the user, by default."
    )
    receivers: ReceiversConfig = ReceiversConfig()
    processors: tuple[ProcessorConfig, ...] = Field(
        default=(),
        description="What is [done to records](../how-to/processors.md) before they are stored, in this order.",
    )
    sinks: tuple[SinkConfig, ...] = Field(default=(), description="Where records are sent on to.")
    thinning: ThinningConfig | None = Field(default=None, description="Without it, all that is stored stays.")
    spool: SpoolConfig = SpoolConfig()
    store: StoreConfig = StoreConfig()
    dashboard: DashboardConfig = DashboardConfig()
    telemetry: TelemetryConfig = TelemetryConfig()
    keys: tuple[KeyConfig, ...] = Field(
        default=(), description="Who may send by HTTP and gRPC. Without any, whoever can connect may."
    )

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [STORE, *(sink.name for sink in self.sinks)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"sinks: each needs a name of its own, and {twice!r} is there twice or taken by clew")
        return self

    @property
    def spool_path(self) -> Path:
        """The spool's file."""
        return self.data / "spool.sqlite"
