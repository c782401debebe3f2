"""No secret remains, wherever it was put, and nothing else changes."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from clew_collector.json_form import log_to_json, span_to_json
from clew_collector.model import LogRecord, Span, Value
from clew_collector.processors.base import open_connection
from clew_collector.stores.duckdb.rows import LOG_COLUMNS, SPAN_COLUMNS, log_of, span_of
from tests.collector.otlp_builders import a_log, a_span, attributes, logs, traces
from tests.collector.processors.applying import configured, selected
from tests.collector.storing import batch_of

PRESETS = ["credit_card", "email", "jwt", "aws_key", "private_key", "bearer_token"]
SECRETS = (
    "4111111111111111",
    "5500 0055 5555 5559",
    "bob@example.com",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0",
    "AKIAIOSFODNN7EXAMPLE",
    "Bearer s3cr3t-s3cr3t",
    "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADAN\n-----END PRIVATE KEY-----",
    "tajné-12345",
)
CONFIGS: dict[str, dict[str, Any]] = {
    action: {"type": "redact", "keys": ["*password*"], "presets": PRESETS, "patterns": ["tajné-[0-9]+"], **more}
    for action, more in {
        "mask": {},
        "remove": {"action": "remove"},
        "hash": {"action": "hash", "salt": "a salt of some length"},
    }.items()
}

# No letters, digits or dashes: beside those a secret would be a part of something else.
AROUND = st.text(st.sampled_from(" \n\t'\"\\%:;,()[]{}ñ☃\U0001f9f6\x00\x01"), max_size=5)
HARMLESS_TEXTS = st.text(st.sampled_from("abc XYZ019 '\"\\%:,;{}[]\n\x00é☃\U0001f9f6"), max_size=12)
HARMLESS: st.SearchStrategy[Any] = st.recursive(
    HARMLESS_TEXTS
    | st.booleans()
    | st.integers(-(2**33), 2**33)
    | st.floats(allow_nan=False, width=16)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=2),
    max_leaves=6,
)


@st.composite
def secret_values(draw: st.DrawFn) -> Value:
    """A text with a secret in it, as it is, in bytes, or deep in lists and maps, after texts of many lengths."""
    text = draw(AROUND) + draw(st.sampled_from(SECRETS)) + draw(AROUND) + " " * draw(st.integers(0, 150))
    value: Value = text.encode() if draw(st.integers(0, 9)) == 0 else text
    for _ in range(draw(st.integers(0, 3))):
        before: list[Value] = draw(st.lists(HARMLESS, max_size=2))
        value = [*before, value] if draw(st.booleans()) else {"k" * draw(st.integers(1, 140)): value}
    return value


@pytest.fixture(scope="module")
def ask() -> Iterator[Any]:
    """Answers columns of a batch; one connection for all examples."""
    with ExitStack() as stack:
        connection = stack.enter_context(open_connection())
        yield lambda batch, columns: selected(connection, batch, columns)


def logs_after(ask: Any, records: list[Any], action: str) -> list[LogRecord]:
    batch = configured(CONFIGS[action]).process(batch_of(logs(*records), number=1)).batch
    return [log_of(row) for row in ask(batch, LOG_COLUMNS)]


def spans_after(ask: Any, records: list[Any], action: str) -> list[Span]:
    batch = configured(CONFIGS[action]).process(batch_of(traces(*records), number=1)).batch
    return [span_of(row) for row in ask(batch, SPAN_COLUMNS)]


def shown(form: Any) -> str:
    return str(orjson.loads(orjson.dumps(form)))


def holds_secret(text: str) -> bool:
    return any(str([secret])[2:-2] in text for secret in SECRETS)


# Many records an example: a statement of this size takes longer to plan than to run.
@pytest.mark.parametrize("action", CONFIGS)
@settings(max_examples=15, deadline=None)
@given(values=st.lists(st.tuples(secret_values(), secret_values()), min_size=1, max_size=30))
def test_no_secret_remains_in_a_log_record(ask: Any, action: str, values: list[tuple[Value, Value]]) -> None:
    records = [a_log(body, more={"é'\"\\": value, "user.password": "hunter2", "n": 7}) for body, value in values]

    after = logs_after(ask, records, action)

    assert len(after) == len(values)
    for log in after:
        text = shown(log_to_json(log))
        assert not holds_secret(text)
        assert "hunter2" not in text
        assert not isinstance(log.body, bytes | list | dict)
        assert [type(value) for key, value in log.attributes.items() if key != "n"] in ([], [str], [str, str])
        assert log.attributes["n"] == 7


@pytest.mark.parametrize("action", CONFIGS)
@settings(max_examples=8, deadline=None)
@given(values=st.lists(st.tuples(secret_values(), AROUND, st.sampled_from(SECRETS)), min_size=1, max_size=30))
def test_no_secret_remains_in_a_span(ask: Any, action: str, values: list[tuple[Value, str, str]]) -> None:
    records = []
    for value, text, secret in values:
        event = OtlpSpan.Event(name=text + secret, attributes=attributes({"v": value}))
        link = OtlpSpan.Link(trace_id=b"1" * 16, span_id=b"2" * 8, attributes=attributes({"v": value}))
        records.append(a_span(text + secret, error=secret + text, events=[event], links=[link], more={"v": value}))

    after = spans_after(ask, records, action)

    assert len(after) == len(values)
    for span in after:
        assert not holds_secret(shown(span_to_json(span)))
        nested = [span.attributes, span.events[0].attributes, span.links[0].attributes]
        assert all(isinstance(value, str) for found in nested for value in found.values())


@pytest.mark.parametrize("action", CONFIGS)
@settings(max_examples=15, deadline=None)
@given(
    values=st.lists(
        st.tuples(HARMLESS, st.dictionaries(st.sampled_from(["a", "b", "é'"]), HARMLESS)), min_size=1, max_size=30
    )
)
def test_what_holds_no_secret_is_as_it_was(ask: Any, action: str, values: list[tuple[Value, dict[str, Value]]]) -> None:
    records = [a_log(body, more={**attributes, "password": 1}) for body, attributes in values]

    after = logs_after(ask, records, action)

    for (body, attributes_), log in zip(values, after, strict=True):
        assert log.body == body
        kept = {key: value for key, value in log.attributes.items() if key != "password"}
        assert kept == attributes_
        assert [type(value) for value in kept.values()] == [type(attributes_[key]) for key in kept]
