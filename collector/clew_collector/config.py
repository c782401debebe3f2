"""Settings of a collector and its pages, checked before anything starts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class CollectorConfig(BaseModel):
    """What `clew up` runs with. Sizes are in bytes; port 0 means any free one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: Path
    otlp_host: str = "127.0.0.1"
    otlp_http_port: int = Field(default=4318, ge=0, le=65535)
    dashboard_port: int = Field(default=8840, ge=0, le=65535)
    max_body_bytes: int = Field(default=16 << 20, ge=1 << 10, le=1 << 30)
    max_spool_bytes: int = Field(default=2 << 30, ge=1 << 20)
    store_memory_bytes: int = Field(default=1 << 30, ge=128 << 20)

    @property
    def spool_path(self) -> Path:
        """The spool's file."""
        return self.data / "spool.sqlite"
