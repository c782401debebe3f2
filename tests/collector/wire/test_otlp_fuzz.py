"""No bytes crash a decoder: they are refused as `BadPayload`, or taken, stored and read back."""

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew_collector.errors import BadPayload
from clew_collector.model import Signal, Value
from clew_collector.query import LogQuery
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.wire.otlp import metrics
from clew_collector.wire.otlp.from_json import parse_json
from clew_collector.wire.otlp.payload import count_records, decode, parse
from tests.collector.otlp_builders import TRACE, a_log, a_span, logs, traces
from tests.collector.storing import batch_of

SIGNALS: tuple[Signal, ...] = ("logs", "traces")
VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
    | st.binary(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
ATTRIBUTES = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), VALUES, max_size=5)
WHOLE = [traces(a_span(more={"k": [1, {"a": b"x"}]})).SerializeToString(), logs(a_log({"m": 1})).SerializeToString()]
numbers = count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DuckDBStore]:
    directory: Path = tmp_path_factory.mktemp("store")
    store = DuckDBStore(directory)
    yield store
    store.close()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid body with a few bytes changed, cut or repeated: what gets past the first checks."""
    body = bytearray(draw(st.sampled_from(WHOLE)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
        if not body:
            break
    return bytes(body)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=200) | mutated())
def test_what_the_check_lets_through_the_decoder_can_read(body: bytes) -> None:
    for signal in SIGNALS:
        with suppress(BadPayload):
            records = count_records(parse(signal, body))
            table = decode(signal, [body])
            assert table.num_rows == 1
            assert records >= 0


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=mutated())
def test_what_the_check_lets_through_can_be_stored_and_shown(store: DuckDBStore, body: bytes) -> None:
    for signal in SIGNALS:
        with suppress(BadPayload):
            message = parse(signal, body)
            records = count_records(message)
            if records:
                assert store.write(batch_of(message, number=next(numbers))) == records
    store.request(TRACE)
    store.search_logs(LogQuery())


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=100) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "attributes", "key", "value", "events"]),
        inner, max_size=4),
    max_leaves=12,
).map(lambda document: json.dumps(document).encode()))  # fmt: skip
def test_no_json_makes_the_parser_fail(body: bytes) -> None:
    for signal in SIGNALS:
        with suppress(BadPayload):
            parse_json(signal, body)
    with suppress(BadPayload):
        metrics.parse(body, is_json=True)
    with suppress(BadPayload):
        metrics.parse(body, is_json=False)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(attributes=ATTRIBUTES, body=VALUES)
def test_any_value_comes_back_as_it_was_sent(store: DuckDBStore, attributes: dict[str, Value], body: Value) -> None:
    number = next(numbers)
    trace = f"{number:032x}"
    store.write(batch_of(traces(a_span(trace=trace, more=attributes)), number=number))
    store.write(batch_of(logs(a_log(body, trace=trace, more=attributes)), number=number))

    found = store.request(trace)

    assert found is not None
    assert repr(dict(found.spans[0].attributes)) == repr(attributes)
    assert repr(dict(found.logs[0].attributes)) == repr(attributes)
    assert repr(found.logs[0].body) == repr(body)
