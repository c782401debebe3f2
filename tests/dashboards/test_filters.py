"""Query parameters of the list of requests."""

import pytest

from clew_collector.query import RequestQuery
from clew_dashboards.filters import read_filters

NOW_NS = 1_780_000_000_000_000_000


def test_every_filter_reaches_the_query() -> None:
    parameters = {
        "service": "orders",
        "route": "/orders",
        "status": "5XX",
        "min_duration_ms": "1.5",
        "id": " req-1 ",
        "error": "true",
        "from": "2026-03-01T14:00:00Z",
        "to": "2026-03-01T15:00:00+01:00",
        "limit": "10",
        "cursor": "c",
    }

    filters = read_filters(parameters, now_ns=NOW_NS)

    assert filters.problems == ()
    assert filters.query == RequestQuery(
        service="orders",
        route="/orders",
        status="5xx",
        min_duration_ns=1_500_000,
        id="req-1",
        error=True,
        from_ns=1_772_373_600_000_000_000,
        to_ns=1_772_373_600_000_000_000,
        limit=10,
        cursor="c",
    )


def test_empty_parameters_are_absent() -> None:
    filters = read_filters({"service": "", "status": "  "}, now_ns=NOW_NS)

    assert filters.query == RequestQuery()
    assert filters.narrowing == {}


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("15m", NOW_NS - 900 * 10**9),
        ("7d", NOW_NS - 7 * 86_400 * 10**9),
        ("1780000000000000001", 1_780_000_000_000_000_001),
        ("2026-03-01T14:00:00", 1_772_373_600_000_000_000),
        ("2026-03-01T15:00:00 01:00", 1_772_373_600_000_000_000),
        ("2026-03-01", 1_772_323_200_000_000_000),
    ],
)
def test_times_are_moments_or_ages(text: str, expected_ns: int) -> None:
    assert read_filters({"from": text}, now_ns=NOW_NS).query.from_ns == expected_ns


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("status", "6xx"),
        ("status", "40"),
        ("min_duration_ms", "fast"),
        ("min_duration_ms", "-1"),
        ("min_duration_ms", "nan"),
        ("min_duration_ms", "1e300"),
        ("error", "maybe"),
        ("from", "yesterday"),
        ("to", "99999999999999999999"),
        ("limit", "0"),
        ("limit", "1001"),
        ("limit", "²"),
        ("id", "x" * 1001),
    ],
)
def test_a_bad_value_is_named_with_what_would_be_right(name: str, text: str) -> None:
    (problem,) = read_filters({name: text}, now_ns=NOW_NS).problems

    assert problem.parameter == name
    assert "must be" in problem.message
    assert "got" in problem.message


def test_a_misspelt_parameter_is_not_ignored() -> None:
    (problem,) = read_filters({"servce": "orders"}, now_ns=NOW_NS).problems

    assert "did you mean service?" in problem.message


def test_all_problems_are_told_at_once() -> None:
    assert len(read_filters({"limit": "x", "status": "y", "zzz": "1"}, now_ns=NOW_NS).problems) == 3
