"""Tail sampling as thinning: everything is stored at once, and what was unremarkable is thinned after a while."""

from pydantic import BaseModel, ConfigDict, Field


class ThinningConfig(BaseModel):
    """`thinning` in clew.yaml; without this section nothing is thinned.

    A request of which nothing came for `after_s` seconds is deleted whole, unless it failed, one of its traces took
    `slow_ms` or longer, or it is one of the share `keep_ratio`, chosen by a hash of its ID.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    after_s: float = Field(default=3600, ge=60, le=10 * 365 * 86_400)
    slow_ms: float = Field(default=1_000, ge=0, le=1e9)
    keep_ratio: float = Field(default=0.1, ge=0, le=1)
