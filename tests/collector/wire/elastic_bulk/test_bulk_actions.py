"""A `_bulk` body is read as Elasticsearch reads it, and refused in its words."""

import pytest

from clew_collector.wire.elastic_bulk.actions import Action, BadRequest, decode_actions


def test_each_action_has_its_document_and_a_delete_has_none() -> None:
    body = (
        b'{"create":{"_index":"a"}}\n{"x":1}\n{"index":{"_index":"b","_id":"7"}}\n{"x":2}\n'
        b'{"delete":{"_index":"b","_id":"7"}}\n{"update":{"_index":"b","_id":"8"}}\n{"doc":{}}\n'
    )

    assert decode_actions(body) == [
        Action("create", "a", None, b'{"x":1}'),
        Action("index", "b", "7", b'{"x":2}'),
        Action("delete", "b", "7"),
        Action("update", "b", "8", b'{"doc":{}}'),
    ]


def test_the_same_action_before_many_documents_is_good_for_each() -> None:
    actions = decode_actions(
        b'{"create":{}}\n{"x":1}\n{"create":{}}\n{"x":2}\n{"index":{}}\n{"x":3}\n', default_index="i"
    )

    assert [(action.operation, action.index, action.document) for action in actions] == [
        ("create", "i", b'{"x":1}'),
        ("create", "i", b'{"x":2}'),
        ("index", "i", b'{"x":3}'),
    ]


def test_an_index_in_the_action_goes_before_that_of_the_path() -> None:
    [action] = decode_actions(b'{"create":{"_index":"own"}}\n{}\n', default_index="path")

    assert action.index == "own"


@pytest.mark.parametrize(
    "body",
    [
        b'\n\n{"create":{"_index":"a"}}\n{"x":1}\n',
        b'{"create":{"_index":"a"}}\r\n{"x":1}\r\n',
        b'{"create":{"_index":"a"}}\n{"x":1}\n\n \n',
        b'{"create":{"_index":"a","_type":"_doc","pipeline":"p","routing":1}}\n{"x":1}\n',
        b'{"create":{"_index":"a","pipeline":null},"attempts":0}\n{"x":1}\n',
    ],
    ids=["blank lines before", "CRLF", "blank lines after", "what Fluent Bit and others add", "what Winston adds"],
)
def test_what_elasticsearch_overlooks_is_overlooked(body: bytes) -> None:
    [action] = decode_actions(body)

    assert (action.index, action.document.strip()) == ("a", b'{"x":1}')


def test_an_id_that_is_a_number_is_text_and_null_is_none() -> None:
    actions = decode_actions(b'{"create":{"_index":"a","_id":5}}\n{}\n{"create":{"_index":"a","_id":null}}\n{}\n')

    assert [action.id for action in actions] == ["5", None]


def test_an_action_at_the_end_without_its_document_is_left_out() -> None:
    assert len(decode_actions(b'{"create":{"_index":"a"}}\n{}\n{"create":{"_index":"a"}}\n')) == 1


# Each with the type and reason that Elasticsearch 9.2 gives; those of its JSON parser are worded by ours.
BAD = {
    "nothing": (b"", "parse_exception", "request body is required"),
    "no newline at the end": (
        b'{"create":{"_index":"a"}}\n{}',
        "illegal_argument_exception",
        "The bulk request must be terminated by a newline [\\n]",
    ),
    "a blank line": (b"\n", "action_request_validation_exception", "Validation Failed: 1: no requests added;"),
    "no document": (
        b'{"create":{"_index":"a"}}\n',
        "action_request_validation_exception",
        "Validation Failed: 1: no requests added;",
    ),
    "no index": (
        b'{"create":{}}\n{}\n',
        "action_request_validation_exception",
        "Validation Failed: 1: index is missing;",
    ),
    "not JSON": (b"garbage\n{}\n", "x_content_parse_exception", "Malformed action/metadata line [1]"),
    "a document for an action": (
        b'{"create":{"_index":"a"}}\n{}\n{"message":"x"}\n{}\n',
        "illegal_argument_exception",
        "Malformed action/metadata line [3], expected field [create], [delete], [index] or [update] "
        "but found [message]",
    ),
    "a list": (
        b"[]\n{}\n",
        "illegal_argument_exception",
        "Malformed action/metadata line [1], expected START_OBJECT but found [START_ARRAY]",
    ),
    "a text": (
        b'"a"\n{}\n',
        "illegal_argument_exception",
        "Malformed action/metadata line [1], expected START_OBJECT but found [VALUE_STRING]",
    ),
    "an empty object": (
        b"{}\n{}\n",
        "illegal_argument_exception",
        "Malformed action/metadata line [1], expected FIELD_NAME but found [END_OBJECT]",
    ),
    "null for parameters": (
        b'{"index":null}\n{}\n',
        "illegal_argument_exception",
        "Malformed action/metadata line [1], expected START_OBJECT or END_OBJECT but found [VALUE_NULL]",
    ),
    "two actions": (
        b'{"index":{"_index":"t"},"create":{}}\n{}\n',
        "illegal_argument_exception",
        "Malformed action/metadata line [1], expected END_OBJECT but found [FIELD_NAME]",
    ),
    "an unknown parameter": (
        b'{"index":{"_index":"t","foo":1}}\n{}\n',
        "illegal_argument_exception",
        "Action/metadata line [1] contains an unknown parameter [foo]",
    ),
}


@pytest.mark.parametrize(("body", "type", "reason"), BAD.values(), ids=BAD.keys())
def test_what_is_no_bulk_body_is_refused_in_elasticsearchs_words(body: bytes, type: str, reason: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_actions(body)

    assert caught.value.type == type
    assert str(caught.value).startswith(reason)


def test_many_missing_indices_make_no_endless_error() -> None:
    with pytest.raises(BadRequest) as caught:
        decode_actions(b'{"create":{}}\n{}\n' * 1000)

    assert len(str(caught.value)) < 500
