"""Renaming, setting and removing attributes."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew.fields import CORRELATION_ID, SERVICE_NAME
from clew_collector.model import Signal
from clew_collector.processors.attribute_lists import (
    Place,
    replacing,
    text_of_key,
    with_renamed,
    with_set,
    without,
)
from clew_collector.processors.base import Changing
from clew_collector.processors.condition import Condition
from clew_collector.processors.literals import Glob, Plain, glob_regex


class RenameConfig(BaseModel):
    """`type: rename` under `processors` in clew.yaml, for attributes of records or of their resource.

    First `keys` are renamed (old: new; what has the new name already stays), then attributes whose key matches a glob
    of `remove` go, in any case of letters, then those of `set` are put. An attribute that becomes `correlation.id`
    joins its record to that request, unless it has a correlation ID.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: Literal["rename"]
    where: Place = "attributes"
    keys: dict[str, str] = Field(default={}, max_length=100)
    remove: tuple[Glob, ...] = Field(default=(), max_length=100)
    set: dict[str, Plain] = Field(default={}, max_length=100)
    when: Condition | None = None

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not (self.keys or self.remove or self.set):
            raise ValueError("needs keys, remove or set")
        if SERVICE_NAME in {*self.keys, *self.keys.values(), *self.set}:
            raise ValueError(f"{SERVICE_NAME} is the sender's to say")
        return self


class Rename(Changing):
    """Changes attributes, of all records or of those for which a condition holds."""

    def __init__(self, config: RenameConfig) -> None:
        self._config = config

    def apply(self, signal: Signal, select: str) -> str:
        """See `Processor.apply`."""
        when = self._config.when
        if when is None:
            return self._changed(select, None)
        if signal not in when.signals:
            return select
        # Decided once: what the condition asks for may be changed here.
        marked = f"SELECT *, {when.sql(signal)} AS is_meant FROM ({select})"
        return f"SELECT * EXCLUDE (is_meant) FROM ({self._changed(marked, 'is_meant')})"

    def _changed(self, select: str, when: str | None) -> str:
        place = self._config.where
        for old, new in self._config.keys.items():
            select = replacing(select, with_renamed(place, old, new), when=when)
        if self._config.remove:
            select = replacing(select, without(place, glob_regex(self._config.remove, flags="is")), when=when)
        if self._config.set:
            select = replacing(select, with_set(place, self._config.set), when=when)
        if place == "attributes" and CORRELATION_ID in {*self._config.keys.values(), *self._config.set}:
            given = f"coalesce(correlation_id, nullif({text_of_key(place, CORRELATION_ID)}, ''))"
            select = replacing(select, {"correlation_id": given}, when=when)
        return select
