"""`filter_path` gives a client what it asks for, as Elasticsearch does."""

from typing import Any

import pytest

from clew_collector.wire.elastic_bulk.filter_path import filtered

GOOD = {"create": {"_id": "1", "status": 201}}
BAD = {"create": {"_id": "2", "status": 400, "error": {"type": "t", "reason": "r"}}}
ANSWER = {"errors": True, "took": 3, "items": [GOOD, BAD]}
STATUSES = [{"create": {"status": 201}}, {"create": {"status": 400}}]


@pytest.mark.parametrize(
    ("filter_path", "expected"),
    [
        ("", ANSWER),
        ("errors", {"errors": True}),
        ("err*", {"errors": True}),
        ("items.*.status", {"items": STATUSES}),
        ("items.create.status,took", {"took": 3, "items": STATUSES}),
        ("items.*.error", {"items": [{"create": {"error": BAD["create"]["error"]}}]}),
        ("items.*.error.type", {"items": [{"create": {"error": {"type": "t"}}}]}),
        ("items", {"items": [GOOD, BAD]}),
        ("-items", {"errors": True, "took": 3}),
        ("items,-items.*._id,-items.*.error", {"items": STATUSES}),
        ("nothing", {}),
        ("items.nothing.at.all", {}),
        (" errors , ", {"errors": True}),
        ("**.status", ANSWER),
    ],
)
def test_patterns_pick_parts(filter_path: str, expected: dict[str, Any]) -> None:
    assert filtered(ANSWER, filter_path) == expected


def test_the_filter_of_beats_leaves_statuses_and_errors() -> None:
    assert filtered(ANSWER, "errors,items.*.error,items.*.status") == {
        "errors": True,
        "items": [{"create": {"status": 201}}, {"create": {"status": 400, "error": BAD["create"]["error"]}}],
    }
