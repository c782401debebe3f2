"""No bytes crash what reads a `_bulk` body: it is refused, document by document or as a whole, or is valid OTLP."""

import itertools
import json
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from clew_collector.errors import BadPayload
from clew_collector.wire.elastic_bulk.actions import decode_actions
from clew_collector.wire.elastic_bulk.filter_path import filtered
from clew_collector.wire.elastic_bulk.taking import take_documents
from clew_collector.wire.elastic_bulk.to_otlp import DocumentsRequest
from clew_collector.wire.otlp.payload import count_records, decode, parse
from tests.collector.wire.elastic_bulk.documents import RECEIVED_NS

NAMES = (
    *("@timestamp", "message", "log", "level", "service", "name", "host", "trace", "id", "trace.id", "correlation.id"),
    *("transaction.id", "labels", "http.request.id", "error", "host.name", "service.name", "traceparent", "a.b", ""),
)
KEYS = st.sampled_from(NAMES) | st.text(max_size=3)
ODD: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.sampled_from(["-", "a" * 32])
)
VALUES = st.recursive(ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
DOCUMENTS = (st.dictionaries(KEYS, VALUES, max_size=6) | VALUES).map(lambda form: json.dumps(form).encode())
PARAMETERS = st.dictionaries(st.sampled_from(["_index", "_id", "_type", "x"]), VALUES, max_size=3)
ACTIONS = (
    st.dictionaries(st.sampled_from(["create", "index", "update", "delete", "x"]), PARAMETERS | VALUES, max_size=2)
    | st.just({"create": {"_index": "a"}})
    | VALUES
).map(lambda form: json.dumps(form).encode())
GOOD_ACTION = st.just(b'{"index":{"_index":"a"}}')
LINES = st.lists(ACTIONS | DOCUMENTS | st.binary(max_size=20), max_size=6)
PAIRS = st.lists(st.tuples(GOOD_ACTION, DOCUMENTS | st.binary(max_size=20)), max_size=5).map(
    lambda pairs: [line for pair in pairs for line in pair]
)
BODIES = st.binary(max_size=60) | (LINES | PAIRS).map(lambda lines: b"".join(line + b"\n" for line in lines))


@settings(max_examples=600, deadline=None)
@given(body=BODIES, default_index=st.sampled_from(["", "logs"]))
def test_no_body_makes_it_fail(body: bytes, default_index: str) -> None:
    with suppress(BadPayload):
        actions = decode_actions(body, default_index=default_index)
        request = DocumentsRequest(received_ns=RECEIVED_NS, ids_in_text=True)
        taken = take_documents(actions, request, run="run", numbers=itertools.count())

        assert len(taken.items) == len(actions)
        kept = len(actions) - sum(taken.refused.values())
        encoded = request.message.SerializeToString()
        assert request.records == kept == count_records(parse("logs", encoded))
        assert decode("logs", [encoded]).num_rows == 1


@settings(max_examples=300, deadline=None)
@given(filter_path=st.text("items.*-,e[]!?", max_size=20))
def test_no_filter_path_makes_it_fail(filter_path: str) -> None:
    answer = {"errors": False, "items": [{"create": {"status": 201}}, {}]}

    assert isinstance(filtered(answer, filter_path), dict)
