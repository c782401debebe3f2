"""What a person writes about an archive in clew.yaml."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew_collector.model import SIGNALS, Signal
from clew_collector.secrets import Secret


class S3Config(BaseModel):
    """`s3` of a file sink: how to reach the bucket; what is left out is found as Amazon's own tools find it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    endpoint: str | None = Field(default=None, pattern=r"^https?://")
    """Of a store that is not Amazon's, such as `https://minio.example:9000`."""
    region: str | None = None
    """The bucket's."""
    access_key: str | None = None
    """With `secret_key`."""
    secret_key: Secret | None = None
    """With `access_key`."""
    ca: Path | None = None
    """Who signed the endpoint's certificate, if not an authority that this machine knows; PEM."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key come together")
        return self


class FileSinkConfig(BaseModel):
    """`type: file`, an item of `sinks` in clew.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    type: Literal["file"] = "file"
    name: str = Field(default="file", pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """What it is called on the Health page. The queue remembers by it how far it has come."""
    url: str = Field(min_length=1)
    """A folder, or `s3://BUCKET/FOLDER`. One that no other collector writes to."""
    format: Literal["ndjson", "parquet"] = "ndjson"
    """Lines of JSON, or columns; both compressed with zstd."""
    signals: frozenset[Signal] = Field(default=frozenset(SIGNALS), min_length=1)
    """What is kept."""
    fill_wait_s: float = Field(default=60, gt=0, le=3600)
    """How long records are waited for that go into the same file, while there are few."""
    s3: S3Config | None = None
    """For `s3://`."""

    @model_validator(mode="after")
    def _has_a_known_scheme(self) -> Self:
        scheme, found, _ = self.url.partition("://")
        if found and scheme != "s3":
            raise ValueError(f"url must be a folder or begin with s3://, got {scheme}://")
        if self.s3 is not None and not found:
            raise ValueError("s3 is for a url that begins with s3://")
        return self
