"""A document's fields have dotted names, whichever way it was written."""

import orjson
import pytest

from clew_collector.wire.elastic_bulk.document import MAX_DEPTH, BadDocument, decode_document, flatten


@pytest.mark.parametrize(
    "form",
    [
        {"log": {"origin": {"file": {"name": "a.py"}}}},
        {"log.origin.file.name": "a.py"},
        {"log.origin": {"file.name": "a.py"}},
    ],
    ids=["nested", "dotted", "both"],
)
def test_dots_and_objects_mean_the_same(form: dict[str, object]) -> None:
    assert flatten(form) == {"log.origin.file.name": "a.py"}


def test_a_field_that_is_there_both_ways_has_the_values_of_both() -> None:
    assert flatten({"a.b": 1, "a": {"b": [2, 3]}}) == {"a.b": [1, 2, 3]}


def test_types_and_lists_are_kept_and_null_is_no_field() -> None:
    form = {"t": "x", "i": 1, "f": 1.5, "b": False, "l": [1, None, {"a": 1}], "n": None, "o": {}, "e": []}

    assert flatten(form) == {"t": "x", "i": 1, "f": 1.5, "b": False, "l": [1, None, {"a": 1}], "e": []}


def test_whole_numbers_over_63_bits_keep_their_digits() -> None:
    assert flatten({"a": 2**63, "b": [2**64 - 1], "c": 2**63 - 1}) == {
        "a": "9223372036854775808",
        "b": ["18446744073709551615"],
        "c": 2**63 - 1,
    }


def nested(levels: int, *, as_list: bool) -> dict[str, object]:
    inner: object = 1
    for _ in range(levels - 1):
        inner = [inner] if as_list else {"a": inner}
    return {"a": inner}


@pytest.mark.parametrize("as_list", [False, True], ids=["objects", "lists"])
def test_the_depth_limit_is_elasticsearchs(as_list: bool) -> None:
    assert flatten(nested(MAX_DEPTH, as_list=as_list))
    with pytest.raises(BadDocument, match=r"Limit of mapping depth \[20\] has been exceeded"):
        flatten(nested(MAX_DEPTH + 1, as_list=as_list))


def test_half_a_surrogate_does_not_cost_the_document() -> None:
    assert decode_document(b'{"message": "cut \\ud83d", "whole": "\\ud83d\\ude00"}') == {
        "message": "cut �",
        "whole": "\N{GRINNING FACE}",
    }


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "document is empty"),
        (b"  \r", "document is empty"),
        (b'{"a":', "failed to parse: "),
        (b'{"a": "\xff"}', "failed to parse: "),
        (b'{"a": NaN, "b": "\\ud83d"}', "failed to parse: "),
        (b'{"a": 1} {"b": 2}', "failed to parse: "),
        (b'{"a": "\\ud83d"' + b"[" * 5000, "failed to parse: "),
        (b"[1]", "must start with an object"),
        (b"null", "must start with an object"),
        (orjson.dumps("x"), "must start with an object"),
    ],
)
def test_what_is_no_document_is_refused_with_a_reason(document: bytes, reason: str) -> None:
    with pytest.raises(BadDocument, match=reason):
        decode_document(document)
