"""Where a receiver listens: what the configurations of all that do have in common."""

from pydantic import BaseModel, ConfigDict, Field

from clew_collector.tls import TlsConfig


class ListenConfig(BaseModel):
    """An address under `receivers` in clew.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(default=True, description="`false` takes nothing this way.")
    host: str = Field(
        default="127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` is every one of this machine."
    )
    port: int | None = Field(
        default=None, ge=0, le=65535, description="0 is any free one. Without it the usual one, if that is free."
    )
    tls: TlsConfig | None = Field(default=None, description="With it, senders speak TLS.")
