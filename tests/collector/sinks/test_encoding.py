"""Attributes as JSON, by SQL."""

import base64
import math

import orjson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from clew_collector.model import Value
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.elasticsearch.documents import select_lines, with_lists_of_one_type
from clew_collector.sinks.encoding import MACROS, readable
from tests.collector.otlp_builders import a_log, a_span, attributes, logs, traces
from tests.collector.sinks.outgoing import outgoing

CONNECTIONS = Connections(MACROS)

texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.one_of(
    texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=20), st.none()
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=8,
)
names = texts.filter(lambda text: text.strip(" \t\r\n") != "")


def as_json(value: Value) -> object:
    """What a reader of JSON should see."""
    match value:
        case bytes():
            return base64.b64encode(value).decode()
        case list():
            return [None if isinstance(item, float) and not math.isfinite(item) else as_json(item) for item in value]
        case dict():
            return {
                key: None if isinstance(item, float) and not math.isfinite(item) else as_json(item)
                for key, item in value.items()
            }
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, values, max_size=5))
@example({"x": math.copysign(math.nan, -1.0)})
def test_every_value_is_the_same_in_json(given_values: dict[str, Value]) -> None:
    batch = outgoing(logs(a_log(more=given_values)))

    with CONNECTIONS.holding(batch) as encoder, readable(encoder, batch) as records:
        [(text,)] = encoder.sql(
            f"SELECT json_attributes(attribute_keys, attribute_texts, attribute_types, []) FROM ({records})"
        ).fetchall()

    assert orjson.loads(text) == {key: as_json(value) for key, value in given_values.items()}


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(names, values), max_size=5), texts, values)
def test_every_record_is_two_lines_of_json(pairs: list[tuple[str, Value]], name: str, body: Value) -> None:
    record, span = a_log(body), a_span(name)
    for key, value in pairs:
        for each in (record, span, span.events.add(name=name), span.links.add()):
            each.attributes.extend(attributes({key: value}))

    for batch in (outgoing(logs(record)), outgoing(traces(span))):
        with (
            CONNECTIONS.holding(batch) as encoder,
            readable(encoder, batch, change=with_lists_of_one_type) as records,
        ):
            [(_, _, lines)] = encoder.sql(select_lines(batch.signal, records, origin="abcdefgh")).fetchall()
        action, document, end = lines.split("\n")
        assert orjson.loads(action) == {"create": {"_id": "abcdefgh00000000000100000000"}}
        assert set(orjson.loads(document)) >= {"@timestamp", "service.name"}
        assert end == ""
