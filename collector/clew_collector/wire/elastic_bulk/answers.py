"""What Elasticsearch answers to those who write documents, as forms for JSON."""

from typing import Any, Final

from clew_collector.wire.elastic_bulk.actions import ILLEGAL_ARGUMENT, Action
from clew_collector.wire.elastic_bulk.document import BadDocument

CREATED: Final = 201
BAD_REQUEST: Final = 400

# As from an index of one shard and no replica, on one node.
_SHARDS: Final = {"total": 1, "successful": 1, "failed": 0}


def created_item(action: Action, id: str, number: int) -> dict[str, Any]:
    """The item of a `_bulk` answer for a document that is kept; `number` is how many came before it."""
    result = {
        "_index": action.index,
        "_id": id,
        "_version": 1,
        "result": "created",
        "_shards": _SHARDS,
        "_seq_no": number,
        "_primary_term": 1,
        "status": CREATED,
    }
    return {action.operation: result}


def refused_item(action: Action, id: str, error: BadDocument) -> dict[str, Any]:
    """The item of a `_bulk` answer for a document that is not kept: sending it again will not help."""
    described: dict[str, Any] = {"type": error.type, "reason": str(error)}
    if error.cause:
        described["caused_by"] = {"type": "x_content_parse_exception", "reason": error.cause}
    return {action.operation: {"_index": action.index, "_id": id, "status": BAD_REQUEST, "error": described}}


def bulk_answer(items: list[dict[str, Any]], *, errors: bool, took_ms: int) -> dict[str, Any]:
    """The answer to a `_bulk` request, its items in the order of the actions."""
    return {"errors": errors, "took": took_ms, "items": items}


def document_answer(item: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and form of the answer to a request with one document, from what would be its item."""
    [result] = item.values()
    if (error := result.get("error")) is not None:
        return result["status"], _failure(error, result["status"])
    return result["status"], {key: value for key, value in result.items() if key != "status"}


def refusal(type: str, reason: str, status: int) -> dict[str, Any]:
    """The answer to a request of which nothing is kept."""
    return _failure({"type": type, "reason": reason}, status)


def unsupported_operation(operation: str) -> BadDocument:
    """The error for an action that changes what is there."""
    return BadDocument(
        f"[{operation}] is not taken here: clew keeps each document as it comes, with [create] and [index]",
        type=ILLEGAL_ARGUMENT,
    )


def _failure(described: dict[str, Any], status: int) -> dict[str, Any]:
    root = {key: described[key] for key in ("type", "reason")}
    return {"error": {"root_cause": [root], **described}, "status": status}
