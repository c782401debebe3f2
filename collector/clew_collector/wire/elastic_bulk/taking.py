"""Actions carried out: the documents that are kept, and a result for each action."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from clew_collector.model import record
from clew_collector.wire.elastic_bulk import answers
from clew_collector.wire.elastic_bulk.actions import ILLEGAL_ARGUMENT, Action
from clew_collector.wire.elastic_bulk.document import BadDocument
from clew_collector.wire.elastic_bulk.to_otlp import DocumentsRequest

BAD_DOCUMENT: Final = "bad document"
UPDATE_OR_DELETE: Final = "update or delete"


@record
class Taken:
    """What became of actions: one item of the answer for each, in order, and how many were refused, by reason."""

    items: list[dict[str, Any]]
    refused: Mapping[str, int]


def take_documents(actions: Iterable[Action], request: DocumentsRequest, *, run: str, numbers: Iterator[int]) -> Taken:
    """Add the documents of actions to a request; a bad one is refused by itself.

    A document whose ID is left to the server is called by `run` and the next of `numbers`.
    """
    items: list[dict[str, Any]] = []
    refused: Counter[str] = Counter()
    for action in actions:
        number = next(numbers)
        id = f"{run}-{number}" if action.id is None else action.id
        if action.operation in ("update", "delete"):
            refused[UPDATE_OR_DELETE] += 1
            items.append(answers.refused_item(action, id, answers.unsupported_operation(action.operation)))
            continue
        try:
            _add(request, action)
        except BadDocument as error:
            refused[BAD_DOCUMENT] += 1
            items.append(answers.refused_item(action, id, error))
        else:
            items.append(answers.created_item(action, id, number))
    return Taken(items=items, refused=refused)


def _add(request: DocumentsRequest, action: Action) -> None:
    if action.id == "":
        raise BadDocument("if _id is specified it must not be empty", type=ILLEGAL_ARGUMENT)
    request.add(action.document, index=action.index, id=action.id)
