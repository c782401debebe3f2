"""Head sampling: a part of all traces, the same part in every process."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from clew_collector.model import SIGNALS
from clew_collector.processors.base import Keeping
from clew_collector.processors.condition import IS_ERROR

_HASHES: Final = 2**64


class SampleConfig(BaseModel):
    """`type: sample` under `processors` in clew.yaml.

    Keeps `ratio` of all traces: spans, and logs with their trace ID. A record without a trace ID goes by its
    correlation ID, one without either is kept. With `keep_errors` a span that failed and a log record at ERROR or above
    is kept, whatever becomes of the rest of its trace; whole requests that failed are what `thinning` keeps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: Literal["sample"]
    ratio: float = Field(ge=0, le=1)
    keep_errors: bool = True
    name: str = Field(default="", max_length=100)


class Sample(Keeping):
    """Keeps a share of all traces."""

    def __init__(self, config: SampleConfig) -> None:
        chosen = is_chosen("coalesce(lower(hex(trace_id)), correlation_id)", config.ratio)
        kept = f"coalesce({chosen}, true)"
        super().__init__(
            {signal: f"({kept} OR {IS_ERROR[signal]})" if config.keep_errors else kept for signal in SIGNALS},
            name=config.name or config.type,
            reason="not sampled",
        )


def is_chosen(id: str, ratio: float) -> str:
    """SQL that chooses a share of all IDs, always the same ones; NULL without an ID.

    By a hash of its own and not by the ID's bits: those may be what an SDK has sampled by, or not be random at all.
    """
    # As text: DuckDB would take a number of this size for a double.
    return f"(md5_number_lower({id}) < '{round(ratio * _HASHES)}'::HUGEINT)"
