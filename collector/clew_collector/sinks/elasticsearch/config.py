"""What a person writes about Elasticsearch in clew.yaml."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from clew_collector.model import Signal
from clew_collector.secrets import Secret
from clew_collector.sinks.http import ClientTls

Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")]
StreamName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=200)]


class ElasticsearchConfig(BaseModel):
    """An item of `sinks` in clew.yaml: a cluster that logs and spans are written to."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["elasticsearch"]
    name: str = Field(default="elasticsearch", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """What its cursor, its counters and its dead letters go by: a new name begins with all that the spool holds."""
    urls: tuple[Url, ...] = Field(default=("http://127.0.0.1:9200",), min_length=1, max_length=100)
    """Nodes, `https://host:9200`. If one does not answer the next is asked; others are never looked for."""
    logs: StreamName | None = "logs-clew-default"
    """The data stream of log records; `null` sends none."""
    traces: StreamName | None = "traces-clew-default"
    """The data stream of spans; `null` sends none."""
    api_key: Secret | None = None
    """As Kibana shows it, in Base64."""
    user: str | None = Field(default=None, min_length=1, pattern=r"^[^:]*$")
    """With `password`, instead of `api_key`."""
    password: Secret | None = None
    """Of `user`."""
    tls: ClientTls = ClientTls()
    """For `https`."""
    install_templates: bool = True
    """Whether templates that are missing are installed. Without them fields are guessed, and times lose precision."""
    gzip: bool | None = None
    """Whether bodies are compressed. If it is left out they are, but for nodes on this machine."""
    connections: int = Field(default=3, ge=1, le=64)
    """Requests of one signal that are under way at once."""
    timeout_s: float = Field(default=60, gt=0, le=600)
    """For how long an answer is waited for."""
    max_request_bytes: int = Field(default=8 << 20, ge=1 << 10, le=100 << 20)
    """The size of a `_bulk` body, uncompressed. It is made smaller by itself if a node or a proxy takes less."""
    max_batch_records: int = Field(default=40_000, ge=1, le=1_000_000)
    """Records that are taken from the spool at once."""
    max_batch_bytes: int = Field(default=32 << 20, ge=1 << 10, le=1 << 30)
    """Bytes that are taken from the spool at once; bounds memory, to about twenty times this for each signal."""

    @model_validator(mode="after")
    def _says_who_once(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password come together")
        if self.api_key is not None and self.user is not None:
            raise ValueError("api_key or user and password, not both")
        if self.tls.ca is not None and any(url.startswith("http://") for url in self.urls):
            raise ValueError("tls is for https: urls must not begin with http://")
        return self

    def stream(self, signal: Signal) -> str | None:
        """The data stream of a signal."""
        return self.logs if signal == "logs" else self.traces
