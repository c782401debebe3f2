"""Dropping or keeping records by a condition."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from clew_collector.model import Signal
from clew_collector.processors.base import Keeping
from clew_collector.processors.condition import Condition


class FilterConfig(BaseModel):
    """`type: drop` or `type: keep` under `processors` in clew.yaml.

    `drop` drops the records for which `when` holds, `keep` all others. Records of a signal that lacks a field of the
    condition (spans have no severity) are left alone by both. Drops are counted under `name`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: Literal["drop", "keep"]
    when: Condition
    name: str = Field(default="", max_length=100)


class Filter(Keeping):
    """Drops or keeps by condition."""

    def __init__(self, config: FilterConfig) -> None:
        def kept(signal: Signal) -> str:
            condition = config.when.sql(signal)
            return condition if config.type == "keep" else f"NOT {condition}"

        super().__init__(
            {signal: kept(signal) for signal in config.when.signals},
            name=config.name or config.type,
            reason="does not match the condition" if config.type == "keep" else "matches the condition",
        )
