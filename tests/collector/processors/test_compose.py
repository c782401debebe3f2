"""Processors together: in their order, into a real store, and at no cost where there are none."""

import base64
import io
import re
from pathlib import Path

import duckdb
import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from clew_collector.model import SIGNALS
from clew_collector.processors.base import open_connection
from clew_collector.processors.trying import Trial
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.wire.otlp.select import SELECTS
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.processors.applying import Yaml, configured
from tests.collector.storing import batch_of

ALL: list[Yaml] = [
    {"type": "redact", "keys": ["*password*"], "presets": ["email", "credit_card"]},
    {"type": "enrich", "tags": {"team": "it's"}, "host": True},
    {
        "type": "rename",
        "keys": {"req": "correlation.id"},
        "remove": ["tmp.*"],
        "set": {"n": 1},
        "when": {"service": "*"},
    },
    {"type": "drop", "when": {"attributes": {"http.route": "/health*"}}},
    {"type": "keep", "when": {"service": "inv*"}},
    {"type": "sample", "ratio": 1.0},
    {"type": "rate_limit", "records_per_s": 1, "window_s": 1},
]
REQUESTS = (
    logs(
        a_log("to bob@example.com", more={"req": "r-1", "tmp.a": 1}), a_log("x"), a_log(more={"http.route": "/health"})
    ),
    traces(a_span(more={"req": "r-1"}), a_span("GET /health", more={"http.route": "/health"})),
)


def lines(*requests: Message) -> io.BytesIO:
    """OTLP/JSON, a request a line; protobuf's JSON but for its IDs, which are hex."""
    texts = [orjson.dumps(MessageToDict(request)).decode() for request in requests]
    hexed = [re.sub(r'(?<=Id":")[^"]+', lambda id: base64.b64decode(id.group()).hex(), text) for text in texts]
    return io.BytesIO("\n".join(hexed).encode())


def test_without_processors_the_batch_is_handed_on_untouched() -> None:
    batch = batch_of(REQUESTS[0], number=1)

    processed = configured().process(batch)

    assert processed.batch.table is batch.table
    assert processed.batch.select is batch.select
    assert processed.drops == ()


@pytest.mark.parametrize("request_", REQUESTS, ids=SIGNALS)
@pytest.mark.parametrize("config", ALL, ids=lambda config: config["type"])
def test_each_processor_leaves_the_columns_their_names_types_and_order(request_: Message, config: Yaml) -> None:
    batch = batch_of(request_, number=1)

    def columns(connection: duckdb.DuckDBPyConnection, select: str) -> list[tuple[str, str]]:
        return [(row[0], row[1]) for row in connection.execute(f"DESCRIBE {select}").fetchall()]

    with open_connection() as connection:
        connection.register("batch", batch.table)
        before = columns(connection, batch.select)
        assert columns(connection, configured(config).process(batch).batch.select) == before


def test_a_store_takes_what_all_of_them_have_made(tmp_path: Path) -> None:
    processors = configured(*ALL)
    store = DuckDBStore(tmp_path)

    written = [store.write(processors.process(batch_of(request, number=1)).batch) for request in REQUESTS]
    found = store.request("r-1")
    store.close()

    assert written == [1, 1]
    assert found is not None
    assert (len(found.spans), [log.body for log in found.logs]) == (1, ["to REDACTED"])
    assert found.logs[0].attributes == {"correlation.id": "r-1", "n": 1}
    assert found.spans[0].resource["team"] == "it's"


def test_they_are_applied_in_their_order() -> None:
    rename = {"type": "rename", "keys": {"secret": "public"}}
    redact = {"type": "redact", "keys": ["secret"]}
    select = SELECTS["logs"]

    assert configured(rename, redact).apply("logs", select) != configured(redact, rename).apply("logs", select)


def test_a_trial_shows_the_records_that_are_left_and_sums_up_what_is_not() -> None:
    trial = Trial(configured(*ALL[:4]))

    shown = list(trial.records(lines(*REQUESTS)))

    assert [(form["signal"], form.get("body"), form.get("name")) for form in shown] == [
        ("logs", "to REDACTED", None),
        ("logs", "x", None),
        ("traces", None, "GET /stock"),
    ]
    assert shown[0]["attributes"] == {"correlation.id": "r-1", "n": 1}
    assert trial.summary() == {
        "read": 5,
        "kept": 3,
        "dropped": [
            {"processor": "drop", "service": "inventory", "reason": "matches the condition", "records": 2},
        ],
        "refused": [],
    }


def test_a_trial_goes_on_after_a_line_that_is_no_request() -> None:
    trial = Trial(configured())
    file = io.BytesIO(lines(REQUESTS[0]).getvalue() + b"\n{}\n{oops\n" + lines(REQUESTS[1]).getvalue())

    assert len(list(trial.records(file))) == 5

    assert [refusal["place"] for refusal in trial.summary()["refused"]] == ["line 2", "line 3"]
