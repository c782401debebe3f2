"""Elasticsearch's way in: `_bulk` and single documents, for Filebeat, Logstash, Fluent Bit and Elasticsearch's clients.

Answers as Elasticsearch does, with a result for each document. Documents are turned into OTLP log records, then on
disk, then answered.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qs, unquote

import orjson
from pydantic import Field

from clew_collector.errors import ClewError, PayloadTooLarge, SpoolFull, StoreUnavailable
from clew_collector.listening import ListenConfig
from clew_collector.model import record
from clew_collector.payload import OwnDigests, Payload, payload_of
from clew_collector.receivers.answering import (
    Answer,
    Count,
    Deliver,
    Unsupported,
    content_type_of,
    headers_of,
    read_content,
    refusal_headers,
    send_answer,
    status_of,
)
from clew_collector.receivers.body import ClientGone, Receive, Scope, Send
from clew_collector.wire.elastic_bulk import answers
from clew_collector.wire.elastic_bulk.actions import Action, BadRequest, decode_actions
from clew_collector.wire.elastic_bulk.filter_path import filtered
from clew_collector.wire.elastic_bulk.probes import answer_probe
from clew_collector.wire.elastic_bulk.taking import Taken, take_documents
from clew_collector.wire.elastic_bulk.to_otlp import DocumentsRequest

MAX_BODY_BYTES: Final = 24 << 20
"""Logstash sends up to 20 MiB."""

_VENDOR_JSON: Final = "application/vnd.elasticsearch+json"
_CONTENT_TYPES: Final = frozenset(
    ("application/json", "application/x-ndjson", _VENDOR_JSON, "application/vnd.elasticsearch+x-ndjson")
)
_PRODUCT: Final = (b"x-elastic-product", b"Elasticsearch")
"""Elasticsearch's clients talk to nobody who does not say so."""
_LARGE_BYTES: Final = 64 << 10
"""Larger bodies, some hundred documents, are read in a thread: meanwhile others are answered."""


class ElasticBulkConfig(ListenConfig):
    """`elastic_bulk` under `receivers` in clew.yaml. Without a port it is 9201, if that is free."""

    max_body_bytes: int = Field(
        default=MAX_BODY_BYTES, ge=1 << 10, le=100 << 20, description="The largest body, as sent and as decompressed."
    )
    ids_in_text: bool = Field(default=False, description="Look for the IDs of a request in the text of messages, too.")


@record
class _Reply:
    """The body of an answer with its status, and what has to be on disk before it is sent."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    payload: Payload | None = None
    refused: Mapping[str, int] | None = None


class ElasticBulkReceiver:
    """An ASGI application that turns documents into OTLP payloads and hands them to `deliver`.

    `max_body_bytes` bounds a body as sent and as decompressed. `ids_in_text` looks for the IDs of a request in the
    message, too. Equal documents are all kept: each payload has a digest of its own.
    """

    def __init__(
        self,
        deliver: Deliver,
        *,
        count: Count,
        max_body_bytes: int = MAX_BODY_BYTES,
        ids_in_text: bool = False,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._deliver = deliver
        self._count = count
        self._max_body_bytes = max_body_bytes
        self._ids_in_text = ids_in_text
        self._clock_ns = clock_ns
        self._digests = OwnDigests()
        # Several threads draw from it at once: `count` is made in C, a generator would not bear it.
        self._document_numbers = itertools.count()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        if scope["type"] != "http":
            return
        headers = headers_of(scope)
        try:
            reply = await self._answer(scope, receive, headers)
        except ClientGone:
            self._count(("refused", "logs", "client gone"), 1)
            return
        except ClewError as error:
            reply = self._refusal(error)
        answer = Answer(
            status=reply.status,
            content_type=_answer_type(headers.get(b"accept", "")),
            body=b"" if scope["method"] == "HEAD" else reply.body,
            headers=(_PRODUCT, *reply.headers),
        )
        await send_answer(send, answer)

    async def _answer(self, scope: Scope, receive: Receive, headers: Mapping[bytes, str]) -> _Reply:
        method, path = scope["method"], _parts(scope)
        read = self._reader(scope, path)
        if read is None:
            probed = answer_probe(method, path, address=headers.get(b"host", ""))
            if probed is None:
                raise Unsupported(
                    f"no handler found for uri [{scope['path']:.200}] and method [{method:.20}]: clew takes documents "
                    "here; they are searched on its dashboard",
                    status=400,
                )
            await read_content(receive, headers, max_bytes=self._max_body_bytes)
            return _Reply(probed.status, orjson.dumps(probed.form))
        _check_content_type(content_type_of(headers))
        body = await read_content(receive, headers, max_bytes=self._max_body_bytes)
        reply = await asyncio.to_thread(read, body) if len(body) > _LARGE_BYTES else read(body)
        if reply.payload is not None and reply.payload.records:
            await self._deliver(reply.payload)
        for reason, count in (reply.refused or {}).items():
            self._count(("refused", "logs", reason), count)
        return reply

    def _reader(self, scope: Scope, path: tuple[str, ...]) -> Callable[[bytes], _Reply] | None:
        """What reads the body of a request with documents; `None` for any other request."""
        match path:
            case ("_bulk",) | (_, "_bulk"):
                _check_method(scope, "POST", "PUT")
                index = path[0] if len(path) == 2 else ""
                filter_path = ",".join(parse_qs(scope["query_string"].decode("latin-1")).get("filter_path", ()))
                return lambda body: self._read_bulk(body, index, filter_path)
            case (index, "_doc"):
                _check_method(scope, "POST")
                return lambda body: self._read_document(Action("index", index, None, body))
            case (index, "_doc" | "_create" as kind, id):
                _check_method(scope, "POST", "PUT")
                operation: Final = "create" if kind == "_create" else "index"
                return lambda body: self._read_document(Action(operation, index, id, body))
        return None

    def _read_bulk(self, body: bytes, index: str, filter_path: str) -> _Reply:
        received_ns = self._clock_ns()
        payload, taken = self._take(decode_actions(body, default_index=index), received_ns)
        took_ms = (self._clock_ns() - received_ns) // 10**6
        form = answers.bulk_answer(taken.items, errors=bool(taken.refused), took_ms=took_ms)
        return _Reply(200, orjson.dumps(filtered(form, filter_path)), payload=payload, refused=taken.refused)

    def _read_document(self, action: Action) -> _Reply:
        if not action.document:
            raise BadRequest("request body is required", type="parse_exception")
        payload, taken = self._take([action], self._clock_ns())
        status, form = answers.document_answer(taken.items[0])
        return _Reply(status, orjson.dumps(form), payload=payload, refused=taken.refused)

    def _take(self, actions: list[Action], received_ns: int) -> tuple[Payload, Taken]:
        request = DocumentsRequest(received_ns=received_ns, ids_in_text=self._ids_in_text)
        taken = take_documents(actions, request, run=self._digests.run.hex(), numbers=self._document_numbers)
        # No other payload has these 16 bytes: those of OTLP payloads are hashes.
        digest = self._digests.next()
        return payload_of("logs", request.message, digest=digest), taken

    def _refusal(self, error: ClewError) -> _Reply:
        status, reason = status_of(error)
        self._count(("refused", "logs", reason), 1)
        form = (
            {"error": str(error), "status": status}
            if isinstance(error, Unsupported)
            else answers.refusal(_type_of(error), str(error), status)
        )
        return _Reply(status, orjson.dumps(form), headers=refusal_headers(error, status))


def _parts(scope: Scope) -> tuple[str, ...]:
    """The path in parts; a slash in an index's name is escaped: `%3Clogs-%7Bnow%2Fd%7D%3E`."""
    raw = scope.get("raw_path") or scope["path"].encode()
    return tuple(unquote(part) for part in raw.decode("latin-1").split("/") if part)


def _check_method(scope: Scope, *allowed: str) -> None:
    if scope["method"] not in allowed:
        raise Unsupported(
            f"Incorrect HTTP method for uri [{scope['path']:.200}] and method [{scope['method']:.20}], "
            f"allowed: [{', '.join(allowed)}]",
            status=405,
            headers=((b"allow", ",".join(allowed).encode()),),
        )


def _check_content_type(content_type: str) -> None:
    if content_type not in _CONTENT_TYPES:
        raise Unsupported(f"Content-Type header [{content_type:.80}] is not supported", status=406)


def _answer_type(accept: str) -> str:
    """The content type that a client of version 8 or 9 asks for, or plain JSON."""
    version = accept.partition("compatible-with=")[2][:1]
    if accept.startswith(_VENDOR_JSON) and version in ("8", "9"):
        return f"{_VENDOR_JSON};compatible-with={version}"
    return "application/json"


def _type_of(error: ClewError) -> str:
    """What Elasticsearch calls an error."""
    match error:
        case BadRequest():
            return error.type
        case PayloadTooLarge():
            return "content_too_long_exception"
        case SpoolFull():
            return "es_rejected_execution_exception"
        case StoreUnavailable():
            return "unavailable_shards_exception"
        case _:
            return "parse_exception"
