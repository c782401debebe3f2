"""The model of clew.yaml: what a collector runs with, checked before anything starts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from clew_collector.keys import KeyConfig
from clew_collector.receivers.otlp_http import OtlpHttpConfig
from clew_collector.receivers.syslog import SyslogConfig
from clew_collector.receivers.zipkin import ZipkinConfig


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReceiversConfig(_Section):
    """`receivers`: the ways in."""

    otlp_http: OtlpHttpConfig = OtlpHttpConfig()
    zipkin: ZipkinConfig = ZipkinConfig()
    syslog: SyslogConfig = SyslogConfig()


class SpoolConfig(_Section):
    """`spool`: the queue on disk between the receivers and the store."""

    max_bytes: int = Field(
        default=2 << 30, ge=1 << 20, description="What waits at most; beyond it, senders are told to try again later."
    )
    max_age_s: float | None = Field(
        default=None, gt=0, description="What has waited for longer is dropped, and counted. Without it nothing is."
    )


class StoreConfig(_Section):
    """`store`: the embedded store."""

    memory_bytes: int = Field(default=1 << 30, ge=128 << 20, description="What DuckDB may take.")


class DashboardConfig(_Section):
    """`dashboard`: the pages, for this machine only."""

    port: int = Field(default=8840, ge=0, le=65535, description="0 is any free one.")


class CollectorConfig(_Section):
    """What `clew up` runs with. Sizes are in bytes, times in seconds."""

    data: Path = Field(description="Where logs, spans and the spool are kept.")
    receivers: ReceiversConfig = ReceiversConfig()
    spool: SpoolConfig = SpoolConfig()
    store: StoreConfig = StoreConfig()
    dashboard: DashboardConfig = DashboardConfig()
    keys: tuple[KeyConfig, ...] = Field(
        default=(), description="Who may send by HTTP and gRPC. Without any, whoever can connect may."
    )

    @property
    def spool_path(self) -> Path:
        """The spool's file."""
        return self.data / "spool.sqlite"
