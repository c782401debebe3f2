"""Settings of a collector and its pages, checked before anything starts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class CollectorConfig(BaseModel):
    """What `clew up` runs with. Sizes are in bytes; port 0 means any free one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    otlp_host: str = "127.0.0.1"
    otlp_http_port: int = Field(default=4318, ge=0, le=65535)
    zipkin_port: int | None = Field(default=None, ge=0, le=65535)
    """`None` is Zipkin's own port, and none at all where that is in use."""
    syslog_port: int | None = Field(default=None, ge=0, le=65535)
    """For UDP and TCP. `None` is 5514, and none at all where that is in use."""
    syslog_ids_in_text: bool = False
    """Whether the IDs of a request are looked for in the text of syslog lines, too."""
    dashboard_port: int = Field(default=8840, ge=0, le=65535)
    max_body_bytes: int = Field(default=16 << 20, ge=1 << 10, le=1 << 30)
    max_spool_bytes: int = Field(default=2 << 30, ge=1 << 20)
    store_memory_bytes: int = Field(default=1 << 30, ge=128 << 20)

    @property
    def spool_path(self) -> Path:
        """The spool's file."""
        return self.data / "spool.sqlite"
