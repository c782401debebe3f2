"""The lines of a `_bulk` body: an action, then its document.

Errors are worded as Elasticsearch 9 words them (`BulkRequestParser`): shippers and people know them.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal, cast, get_args

import orjson

from clew_collector.errors import BadPayload
from clew_collector.model import record

Operation = Literal["create", "index", "update", "delete"]

ILLEGAL_ARGUMENT: Final = "illegal_argument_exception"
VALIDATION: Final = "action_request_validation_exception"

_OPERATIONS: Final = frozenset(get_args(Operation))
# `_type` left Elasticsearch with version 8; Fluent Bit writes it still, unless it is told not to.
_PARAMETERS: Final = frozenset(
    {"_index", "_id", "_type", "routing", "_routing", "op_type", "version", "version_type", "retry_on_conflict"}
    | {"pipeline", "_source", "if_seq_no", "if_primary_term", "require_alias", "require_data_stream"}
    | {"list_executed_pipelines", "dynamic_templates"}
)


class BadRequest(BadPayload):
    """Refuse the whole request; `type` is what Elasticsearch calls it."""

    def __init__(self, reason: str, *, type: str = ILLEGAL_ARGUMENT) -> None:
        super().__init__(reason)
        self.type = type


@record
class Action:
    """What to do with a document, which is JSON as it came; `id` is `None` if the sender leaves it to the server."""

    operation: Operation
    index: str
    id: str | None
    document: bytes = b""


def decode_actions(body: bytes, *, default_index: str = "") -> list[Action]:
    """The actions of a body; those that name no index are for `default_index`.

    Documents are not looked into. Raises `BadRequest`; as in Elasticsearch an action whose document is missing at
    the end of the body is left out.
    """
    if not body:
        raise BadRequest("request body is required", type="parse_exception")
    if not body.endswith(b"\n"):
        raise BadRequest("The bulk request must be terminated by a newline [\\n]")
    actions = list(_actions(body, default_index))
    if not actions:
        raise BadRequest("Validation Failed: 1: no requests added;", type=VALIDATION)
    missing = [number for number, action in enumerate(actions, start=1) if not action.index]
    if missing:
        told = "".join(f" {number}: index is missing;" for number in missing[:10])
        raise BadRequest(f"Validation Failed:{told}", type=VALIDATION)
    return actions


def _actions(body: bytes, default_index: str) -> Iterator[Action]:
    lines = enumerate(body.removesuffix(b"\n").split(b"\n"), start=1)
    # Shippers write the same action before each of a thousand documents.
    last_line: bytes | None = None
    last = Action("create", "", None)
    for number, line in lines:
        if line != last_line:
            if not line.strip():
                continue
            last_line, last = line, _decode_action(line, number, default_index)
        if last.operation == "delete":
            yield last
        elif (document := next(lines, None)) is not None:
            yield Action(last.operation, last.index, last.id, document[1])


def _decode_action(line: bytes, number: int, default_index: str) -> Action:
    where = f"action/metadata line [{number}]"
    try:
        form = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"Malformed {where}: {error}", type="x_content_parse_exception") from error
    if not isinstance(form, dict):
        raise BadRequest(f"Malformed {where}, expected START_OBJECT but found [{_token(form)}]")
    if not form:
        raise BadRequest(f"Malformed {where}, expected FIELD_NAME but found [END_OBJECT]")
    operation, parameters = next(iter(form.items()))
    if operation not in _OPERATIONS:
        raise BadRequest(
            f"Malformed {where}, expected field [create], [delete], [index] or [update] but found [{operation:.80}]"
        )
    if not isinstance(parameters, dict):
        raise BadRequest(f"Malformed {where}, expected START_OBJECT or END_OBJECT but found [{_token(parameters)}]")
    # Winston's transport counts its attempts there; version 8 overlooked what comes after an action.
    if len(form.keys() & _OPERATIONS) > 1:
        raise BadRequest(f"Malformed {where}, expected END_OBJECT but found [FIELD_NAME]")
    if unknown := parameters.keys() - _PARAMETERS:
        raise BadRequest(f"Action/metadata line [{number}] contains an unknown parameter [{min(unknown):.80}]")
    return Action(
        operation=cast("Operation", operation),
        index=_text(parameters, "_index", where) or default_index,
        id=_text(parameters, "_id", where),
    )


def _text(parameters: dict[str, Any], name: str, where: str) -> str | None:
    value = parameters.get(name)
    if isinstance(value, (dict, list)):
        raise BadRequest(f"Malformed {where}, expected a simple value for field [{name}] but found [{_token(value)}]")
    return None if value is None else str(value)


def _token(value: Any) -> str:
    """What Elasticsearch's parser calls the first token of a value."""
    if value is None:
        return "VALUE_NULL"
    names = {dict: "START_OBJECT", list: "START_ARRAY", str: "VALUE_STRING", bool: "VALUE_BOOLEAN"}
    return names.get(type(value), "VALUE_NUMBER")
