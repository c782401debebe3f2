"""Which records a processor is about, as YAML; all that is given must hold."""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew_collector.model import ERROR_SEVERITY, SIGNALS, SPAN_STATUSES, Signal
from clew_collector.processors.attribute_lists import Place, text_of_key
from clew_collector.processors.literals import Glob, Plain, Regex, literal, matches_glob, text_of

Severity = Literal["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]

_SEVERITIES: Final[dict[Severity, int]] = {"TRACE": 1, "DEBUG": 5, "INFO": 9, "WARN": 13, "ERROR": 17, "FATAL": 21}
"""Lowest `SeverityNumber` of each range (OpenTelemetry logs data model)."""

_ONLY_LOGS: Final = ("severity_below", "severity_at_least", "body_matches")
_ONLY_SPANS: Final = ("name", "min_duration_ms", "max_duration_ms")
_ERROR_STATUS: Final = SPAN_STATUSES.index("error")

IS_ERROR: Final[dict[Signal, str]] = {
    "logs": f"severity_number >= {ERROR_SEVERITY}",
    "traces": f"status = {_ERROR_STATUS}",
}
"""SQL that holds for records that the pages show as errors; never NULL."""


class Condition(BaseModel):
    """`when` of a processor in clew.yaml. Texts are globs: `*` is any run of characters, `?` one.

    A record whose severity was not given is neither below nor above any. `error` is a span that failed, or a log
    record at ERROR or above.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    signal: Signal | None = None
    service: Glob | None = None
    name: Glob | None = None
    severity_below: Severity | None = None
    severity_at_least: Severity | None = None
    body_matches: Regex | None = None
    attributes: dict[str, Glob | bool | int | float] = Field(default={}, max_length=100)
    resource: dict[str, Glob | bool | int | float] = Field(default={}, max_length=100)
    error: bool | None = None
    min_duration_ms: float | None = Field(default=None, ge=0, le=1e12, allow_inf_nan=False)
    max_duration_ms: float | None = Field(default=None, ge=0, le=1e12, allow_inf_nan=False)

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        if not any(self.model_dump(exclude_defaults=True).values()) and self.error is None:
            raise ValueError("needs at least one field")
        if not self.signals:
            raise ValueError("can never hold: it has fields of logs and of spans")
        return self

    @property
    def signals(self) -> tuple[Signal, ...]:
        """Signals whose records have all the fields that are asked about."""
        signals = set(SIGNALS)
        if self.signal is not None:
            signals &= {self.signal}
        if any(getattr(self, name) is not None for name in _ONLY_LOGS):
            signals -= {"traces"}
        if any(getattr(self, name) is not None for name in _ONLY_SPANS):
            signals -= {"logs"}
        return tuple(signal for signal in SIGNALS if signal in signals)

    def sql(self, signal: Signal) -> str:
        """SQL that is true or false, never NULL, for a record of one of `signals`."""
        clauses = [*self._clauses(signal), *_have("attributes", self.attributes), *_have("resource", self.resource)]
        return f"coalesce({' AND '.join(f'({clause})' for clause in clauses) or 'true'}, false)"

    def _clauses(self, signal: Signal) -> Iterator[str]:
        if self.service is not None:
            yield matches_glob("service", self.service)
        if self.name is not None:
            yield matches_glob("name", self.name)
        if self.severity_below is not None:
            yield f"severity_number BETWEEN 1 AND {_SEVERITIES[self.severity_below] - 1}"
        if self.severity_at_least is not None:
            yield f"severity_number >= {_SEVERITIES[self.severity_at_least]}"
        if self.body_matches is not None:
            yield f"regexp_matches(body, {literal(self.body_matches)})"
        if self.error is not None:
            yield f"({IS_ERROR[signal]}) = {self.error}"
        if self.min_duration_ms is not None:
            yield f"end_ns - start_ns >= {round(self.min_duration_ms * 1e6)}"
        if self.max_duration_ms is not None:
            yield f"end_ns - start_ns <= {round(self.max_duration_ms * 1e6)}"


def _have(place: Place, wanted: Mapping[str, Plain]) -> Iterator[str]:
    for key, value in wanted.items():
        text = text_of_key(place, key)
        yield matches_glob(text, value) if isinstance(value, str) else f"{text} = {literal(text_of(value))}"
