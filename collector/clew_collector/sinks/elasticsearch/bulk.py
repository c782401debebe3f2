"""One `_bulk` request after another until each of its documents is in the stream, or refused."""

import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson
import pyarrow as pa

from clew_collector.model import record
from clew_collector.sinks.base import RefusedRecord, SinkRejected, SinkUnavailable
from clew_collector.sinks.elasticsearch.cluster import NDJSON, Answer, Cluster, NoAnswer, unavailable
from clew_collector.sinks.elasticsearch.requests import body_of, ids_of
from clew_collector.sinks.pacing import BackOff

_FILTER: Final = (
    "filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
)
_MAX_TRIES: Final = 4
_IDS_AT_ONCE: Final = 5_000
"""A search answers with 10,000 hits at most (`index.max_result_window`)."""

_CREATED: Final = frozenset((200, 201))
_THERE_ALREADY: Final = 409
_TWO_TYPES_AT_ONCE: Final = "cannot be changed from type"
_MAX_REASON_LENGTH: Final = 500
# What a document is refused for that another would be refused for as well: 400 all the same.
_NOT_THE_DOCUMENT: Final = frozenset(("validation_exception", "cluster_block_exception", "security_exception"))


@record
class Items:
    """What became of the documents of a request that were not created: rows to send again, and those refused."""

    again: list[int]
    refused: list[RefusedRecord]
    told: list[str]


class Bulk:
    """Writes rows of `documents.select_lines` to a stream. For any thread.

    `max_bytes` is how large a body may be; it falls when one is found too large.
    """

    def __init__(
        self, cluster: Cluster, *, origin: str, max_bytes: int, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.max_bytes = max_bytes
        self._cluster = cluster
        self._origin = origin
        self._sleep = sleep

    def write(self, stream: str, rows: pa.RecordBatch, *, maybe_there: bool) -> list[RefusedRecord]:
        """Create each row's document once, and return those that were refused.

        `maybe_there` says that some may have been sent before: an `_id` is unique within one backing index only, so
        that after a rollover the stream would take it again. Raises `SinkUnavailable` and `SinkRejected`.
        """
        refused: list[RefusedRecord] = []
        back_off, nodes_left, tries_left = BackOff(), self._cluster.nodes, _MAX_TRIES
        while rows.num_rows:
            if maybe_there:
                rows = self._missing(stream, rows)
                maybe_there = False
                continue
            try:
                answer = self._cluster.ask("POST", f"/{stream}/_bulk?{_FILTER}", body_of(rows), content_type=NDJSON)
                if answer.status == 413:
                    return refused + self._write_halves(stream, rows, answer)
                items = _read(stream, rows, answer, is_first_try=tries_left == _MAX_TRIES)
            except NoAnswer:
                nodes_left -= 1
                if not nodes_left:
                    raise
                maybe_there = True
                continue
            refused += items.refused
            rows = rows.take(pa.array(items.again, pa.int64()))
            if rows.num_rows:
                tries_left -= 1
                if not tries_left:
                    raise SinkUnavailable(f"{stream}: {items.told[0]}", retry_after_s=answer.retry_after_s)
                self._sleep(back_off.next_wait_s(asked_for_s=answer.retry_after_s))
        return refused

    def _write_halves(self, stream: str, rows: pa.RecordBatch, answer: Answer) -> list[RefusedRecord]:
        """Too large: send less, from now on too, down to a document that is too large by itself."""
        if rows.num_rows == 1:
            return [_refused(rows, 0, f"too large: {answer.reason}")]
        self.max_bytes = min(self.max_bytes, max(1, rows.column("lines").nbytes // 2))
        middle = rows.num_rows // 2
        first = self.write(stream, rows.slice(0, middle), maybe_there=False)
        return first + self.write(stream, rows.slice(middle), maybe_there=False)

    def _missing(self, stream: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows whose documents the stream does not have, in any of its indices."""
        ids = ids_of(rows, origin=self._origin)
        # What was written a moment ago is found by a search only after this.
        self._cluster.ask_any("POST", f"/{stream}/_refresh?ignore_unavailable=true")
        there: set[str] = set()
        for start in range(0, len(ids), _IDS_AT_ONCE):
            there.update(self._there(stream, ids[start : start + _IDS_AT_ONCE]))
        return rows.take(pa.array([row for row, id in enumerate(ids) if id not in there], pa.int64()))

    def _there(self, stream: str, ids: list[str]) -> Iterable[str]:
        target = (
            f"/{stream}/_search?ignore_unavailable=true&allow_partial_search_results=false&filter_path=hits.hits._id"
        )
        query = {"query": {"ids": {"values": ids}}, "size": len(ids), "_source": False, "track_total_hits": False}
        answer = self._cluster.ask_any("POST", target, orjson.dumps(query))
        return [hit["_id"] for hit in answer.json().get("hits", {}).get("hits", ())]


def _read(stream: str, rows: pa.RecordBatch, answer: Answer, *, is_first_try: bool) -> Items:
    if answer.status == 400:
        raise SinkRejected(f"{stream}: {answer.reason}")
    if answer.status != 200:
        raise unavailable(stream, answer)
    if answer.body.startswith(b'{"errors":false'):
        return Items(again=[], refused=[], told=[])
    items = [next(iter(item.values())) for item in answer.json()["items"]]
    if len(items) != rows.num_rows:
        raise NoAnswer(f"{stream}: {len(items)} documents are answered for, {rows.num_rows} were sent")
    outcome = Items(again=[], refused=[], told=[])
    for row, item in enumerate(items):
        if item["status"] not in _CREATED and item["status"] != _THERE_ALREADY:
            told = _reason(item.get("error", {}))
            if _is_put_off(item["status"], told, is_first_try=is_first_try):
                outcome.again.append(row)
                outcome.told.append(f"{item['status']} {told}")
            elif _is_its_own_fault(item):
                outcome.refused.append(_refused(rows, row, told))
            else:
                raise SinkUnavailable(f"{stream}: {item['status']} {told}")
    return outcome


def _is_put_off(status: int, told: str, *, is_first_try: bool) -> bool:
    # Two documents that bring a new field at once, each with a type of its own: the field is there by the next try.
    return status == 429 or status >= 500 or (is_first_try and _TWO_TYPES_AT_ONCE in told)


def _is_its_own_fault(item: dict[str, Any]) -> bool:
    return item["status"] in (400, 413) and item.get("error", {}).get("type") not in _NOT_THE_DOCUMENT


def _reason(error: dict[str, Any]) -> str:
    cause = error.get("caused_by", {}).get("reason")
    told = f"{error.get('type', 'unknown')}: {error.get('reason', '')}{f': {cause}' if cause else ''}"
    return " ".join(told.split())[:_MAX_REASON_LENGTH]


def _refused(rows: pa.RecordBatch, row: int, reason: str) -> RefusedRecord:
    return RefusedRecord(
        payload_id=rows.column("payload_id")[row].as_py(), position=rows.column("position")[row].as_py(), reason=reason
    )
