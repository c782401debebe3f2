"""Taking secrets out of records, by the key of an attribute and by what a text looks like."""

from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clew.fields import CORRELATION_ID, SERVICE_NAME
from clew_collector.model import Signal
from clew_collector.processors.base import Changing
from clew_collector.processors.encoded_texts import ENCODED_TYPES
from clew_collector.processors.literals import Glob, Regex
from clew_collector.processors.redaction import Redaction, lines
from clew_collector.processors.secret_patterns import PRESETS, Preset, SecretPattern
from clew_collector.secrets import Secret
from clew_collector.wire.otlp.payload import UNKNOWN_SERVICE

Action = Literal["mask", "remove", "hash"]

_COLUMNS: Final[dict[Signal, tuple[str, ...]]] = {
    "logs": ("service", "severity_text", "scope", "event_name"),
    "traces": ("service", "name", "status_message", "scope", "trace_state"),
}


class RedactConfig(BaseModel):
    """`type: redact` under `processors` in clew.yaml.

    `keys` are globs for attribute keys, in any case of letters; `presets` and `patterns` say what a secret looks like
    in a value. `mask` puts REDACTED in its place, `hash` a hash with `salt`, `remove` takes the attribute away.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: Literal["redact"]
    keys: tuple[Glob, ...] = Field(default=(), max_length=200)
    presets: tuple[Preset, ...] = Field(default=(), max_length=len(PRESETS))
    patterns: tuple[Regex, ...] = Field(default=(), max_length=100)
    action: Action = "mask"
    salt: Secret | None = Field(default=None, min_length=8, max_length=1_000)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if not (self.keys or self.presets or self.patterns):
            raise ValueError("needs keys, presets or patterns")
        if (self.action == "hash") != (self.salt is not None):
            raise ValueError("salt belongs to action: hash, which needs one: card numbers are few enough to try all")
        return self


class Redact(Changing):
    """Redacts attributes of records, resources, events and links, log bodies, and all columns that hold a text."""

    def __init__(self, config: RedactConfig) -> None:
        self._redaction = Redaction(
            keys=config.keys,
            patterns=[*(PRESETS[name] for name in config.presets), *map(SecretPattern, config.patterns)],
            action=config.action,
            salt=config.salt.get_secret_value() if config.salt else "",
        )

    def apply(self, signal: Signal, select: str) -> str:
        """See `Processor.apply`."""
        by = self._redaction
        suspected = {
            "own": by.attributes("attribute_keys", "attribute_texts", "attribute_types"),
            "of_resource": by.attributes("resource_keys", "resource_texts", "resource_types", spared=SERVICE_NAME),
        }
        columns = {**_from_lists("attribute", "own"), **_from_lists("resource", "of_resource"), **self._texts(signal)}
        if signal == "logs":
            suspected["new_body"] = by.value("body", "body_type")
            columns |= {
                "body": "CASE WHEN new_body IS NULL THEN body ELSE new_body.t END",
                "body_type": "CASE WHEN new_body IS NULL THEN body_type ELSE new_body.y END",
            }
        else:
            columns |= {"events": self._nested("events", "time_ns"), "links": self._nested("links", "trace_id")}
        new = ", ".join(f"CASE WHEN suspicious THEN {sql} END AS {name}" for name, sql in suspected.items())
        replaced = ", ".join(f"{sql} AS {name}" for name, sql in columns.items())
        return f"""SELECT * EXCLUDE (suspicious, {", ".join(suspected)}) REPLACE ({replaced})
            FROM (SELECT *, {new} FROM (SELECT *, {self._suspicious(signal)} AS suspicious FROM ({select})))"""

    def _suspicious(self, signal: Signal) -> str:
        texts = [lines("attribute_texts"), lines("resource_texts"), "correlation_id", *_COLUMNS[signal]]
        record = self._redaction.suspicious(
            texts=["body", *texts] if signal == "logs" else texts,
            keys=[lines("attribute_keys"), lines("resource_keys")],
            types=["attribute_types", "resource_types"],
        )
        if signal == "logs":
            return f"({record} OR body_type >= {min(ENCODED_TYPES):d})"
        return f"({record} OR len(events) > 0 OR len(links) > 0)"

    def _texts(self, signal: Signal) -> dict[str, str]:
        by = self._redaction
        columns: dict[str, str] = {}
        if by.patterns:
            columns = {name: by.text(name, empty="''") for name in _COLUMNS[signal]}
            columns["service"] = by.text("service", empty=f"'{UNKNOWN_SERVICE}'")
        columns = {name: f"CASE WHEN suspicious THEN {sql} ELSE {name} END" for name, sql in columns.items()}
        if correlation_id := by.identifier("correlation_id", key=CORRELATION_ID):
            columns["correlation_id"] = correlation_id
        return columns

    def _nested(self, column: str, first: str) -> str:
        """Events or links with their attributes redacted; structs keep the order of their fields."""
        by = self._redaction
        own = by.attributes("e.attribute_keys", "e.attribute_texts", "e.attribute_types")
        second = f"'name': {by.text('e.name', empty=chr(39) * 2)}" if column == "events" else "'span_id': e.span_id"
        lists = ", ".join(f"'{name}': {new}" for name, new in _from_lists("attribute", "own", of="e.").items())
        changed = f"list_transform([{own}], lambda own: {{'{first}': e.{first}, {second}, {lists}}})[1]"
        return f"CASE WHEN len({column}) > 0 THEN list_transform({column}, lambda e: {changed}) ELSE {column} END"


def _from_lists(prefix: str, redacted: str, *, of: str = "") -> dict[str, str]:
    """The three columns, from a list of structs that is NULL where nothing had to be redacted."""
    fields = {f"{prefix}_keys": "k", f"{prefix}_texts": "t", f"{prefix}_types": "y"}
    return {
        column: f"""CASE WHEN {redacted} IS NULL THEN {of}{column}
            ELSE list_transform({redacted}, lambda a: a.{field}) END"""
        for column, field in fields.items()
    }
