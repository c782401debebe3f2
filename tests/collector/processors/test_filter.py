"""Which records a condition is about, and that a user's text is never SQL."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clew_collector.processors.base import Drop
from clew_collector.processors.literals import glob_regex, literal, literals, matches_glob
from tests.collector.otlp_builders import a_log, a_span, logs, resource, traces
from tests.collector.processors.applying import configured, drops_of, logs_after, spans_after

AWKWARD = [
    "'",
    "''",
    "\\",
    "\\'",
    '"',
    "'; DROP TABLE logs; --",
    "') OR true --",
    "%_",
    "$1 ? {}",
    "☃ é \U0001f9f6",
    "a\nb",
    "\x00",
    "[a]",
    "(a|b)",
    "^a$",
    "/* */",
]


def left(when: dict[str, Any], *records: Any, kind: str = "drop") -> list[Any]:
    return [log.body for log in logs_after(logs(*records, service="checkout"), {"type": kind, "when": when})]


@pytest.mark.parametrize(
    ("when", "is_dropped"),
    [
        ({"service": "check*"}, True),
        ({"service": "check"}, False),
        ({"service": "chec?out"}, True),
        ({"service": "CHECKOUT"}, False),
        ({"severity_below": "WARN"}, True),
        ({"severity_below": "INFO"}, False),
        ({"severity_at_least": "INFO"}, True),
        ({"severity_at_least": "ERROR"}, False),
        ({"body_matches": "^GET /health"}, True),
        ({"body_matches": "^/health"}, False),
        ({"attributes": {"http.route": "/health*"}}, True),
        ({"attributes": {"http.route": "/orders"}}, False),
        ({"attributes": {"absent": "*"}}, False),
        ({"attributes": {"status": 200, "cached": True}}, True),
        ({"attributes": {"status": "2*"}}, True),
        ({"attributes": {"status": 200, "cached": False}}, False),
        ({"resource": {"service.name": "checkout"}}, True),
        ({"error": False}, True),
        ({"error": True}, False),
        ({"signal": "logs"}, True),
        ({"signal": "traces"}, False),
        ({"service": "checkout", "severity_below": "WARN", "body_matches": "GET"}, True),
        ({"service": "checkout", "severity_below": "WARN", "body_matches": "PUT"}, False),
    ],
)
def test_all_that_a_condition_names_must_hold(when: dict[str, Any], is_dropped: bool) -> None:
    log = a_log("GET /healthz", more={"http.route": "/healthz", "status": 200, "cached": True})

    assert left(when, log) == ([] if is_dropped else ["GET /healthz"])


def test_keep_leaves_what_drop_takes() -> None:
    records = [a_log("a"), a_log("b"), a_log("c", severity=17)]

    assert left({"severity_below": "WARN"}, *records) == ["c"]
    assert left({"severity_below": "WARN"}, *records, kind="keep") == ["a", "b"]


def test_a_severity_that_was_not_given_is_not_below_any() -> None:
    assert left({"severity_below": "FATAL"}, a_log("unknown", severity=0)) == ["unknown"]


def test_spans_are_chosen_by_name_duration_and_failure() -> None:
    request = traces(a_span("GET /health", duration_ns=2_000_000), a_span("GET /orders", error="x"))

    def names(when: dict[str, Any]) -> list[str]:
        return [span.name for span in spans_after(request, {"type": "drop", "when": when})]

    assert names({"name": "GET /health*"}) == ["GET /orders"]
    assert names({"max_duration_ms": 2}) == ["GET /orders"]
    assert names({"min_duration_ms": 2.5}) == ["GET /health"]
    assert names({"error": True}) == ["GET /health"]


@pytest.mark.parametrize("kind", ["drop", "keep"])
def test_a_condition_about_logs_leaves_spans_alone(kind: str) -> None:
    config = {"type": kind, "when": {"severity_at_least": "ERROR"}}

    assert len(spans_after(traces(a_span()), config)) == 1
    assert drops_of(traces(a_span()), config) == ()


def test_what_is_dropped_is_counted_by_service_with_its_reason() -> None:
    request = logs(a_log("GET /health"), a_log("GET /health"), a_log("GET /orders"), service="web")
    request.resource_logs.extend(logs(a_log("GET /health"), service="api").resource_logs)

    drops = drops_of(request, {"type": "drop", "name": "probes", "when": {"body_matches": "health"}})

    assert drops == (
        Drop(processor="probes", service="api", reason="matches the condition", records=1),
        Drop(processor="probes", service="web", reason="matches the condition", records=2),
    )


def test_a_record_is_counted_by_the_processor_that_drops_it_first() -> None:
    first = {"type": "drop", "name": "first", "when": {"body_matches": "a"}}
    second = {"type": "drop", "name": "second", "when": {"body_matches": "b"}}

    drops = drops_of(logs(a_log("ab"), a_log("b"), a_log("c")), first, second)

    assert [(drop.processor, drop.records) for drop in drops] == [("first", 1), ("second", 1)]


@pytest.mark.parametrize("text", AWKWARD)
def test_an_awkward_text_means_itself(text: str) -> None:
    request = logs(a_log("meant", more={text: text}), a_log("other"))
    request.resource_logs[0].resource.CopyFrom(resource(text))

    for when in ({"service": text}, {"attributes": {text: text}}, {"resource": {"service.name": f"{text}*"}}):
        left = [log.body for log in logs_after(request, {"type": "keep", "when": when})]
        assert left == (["meant"] if "attributes" in when else ["meant", "other"])
    assert [log.body for log in logs_after(request, {"type": "drop", "when": {"service": f"{text}x"}})] == [
        "meant",
        "other",
    ]


@settings(max_examples=300, deadline=None)
@given(text=st.text(st.characters(codec="utf-8")), other=st.text(st.characters(codec="utf-8")))
def test_no_text_leaves_its_quotes(text: str, other: str) -> None:
    import duckdb

    glob = text.replace("*", "?")
    row = duckdb.execute(
        f"""SELECT {literal(text)}, {literals([text, other])}, {matches_glob(literal(text), glob) if glob else "true"},
                   regexp_matches({literal(other + text)}, {literal(glob_regex(["*" + glob]))})"""
    ).fetchall()[0]

    assert row == (text, [text, other], True, True)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ({}, "at least one field"),
        ({"severity_below": "LOUD"}, "TRACE"),
        ({"severity_below": "WARN", "name": "x"}, "can never hold"),
        ({"signal": "traces", "body_matches": "x"}, "can never hold"),
        ({"body_matches": "("}, "not a regular expression"),
        ({"unknown": 1}, "Extra inputs"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(when: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        configured({"type": "drop", "when": when})
