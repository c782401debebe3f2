"""A payload: what a receiver has taken and checked, on its way into the spool."""

import itertools
import os
from collections.abc import Mapping
from dataclasses import field
from hashlib import sha256

from google.protobuf.message import Message

from clew_collector.model import Signal, record
from clew_collector.wire.otlp.payload import count_by_service

NO_CHECKPOINTS: Mapping[str, str] = {}


@record
class Payload:
    """An OTLP/protobuf body that has been checked.

    `digest` is that of the body as sent, decompressed: a payload with a digest that is remembered is left out.
    `services` says how many of the records each service wrote. `checkpoints` are written in the same transaction,
    by key: how far a receiver has read that must not read anything twice.
    """

    signal: Signal
    body: bytes
    records: int
    digest: bytes
    services: Mapping[str, int] = field(default_factory=dict)
    checkpoints: Mapping[str, str] = field(default_factory=dict)


def payload_of(
    signal: Signal,
    request: Message,
    *,
    digest: bytes,
    body: bytes | None = None,
    checkpoints: Mapping[str, str] = NO_CHECKPOINTS,
) -> Payload:
    """The payload of a parsed OTLP request; `body` is its protobuf where that is at hand."""
    services = count_by_service(request)
    return Payload(
        signal=signal,
        body=request.SerializeToString() if body is None else body,
        records=sum(services.values()),
        digest=digest,
        services=services,
        checkpoints=checkpoints,
    )


class OwnDigests:
    """Digests for payloads that are all kept, however equal: 16 bytes that no other payload has. For any thread."""

    def __init__(self) -> None:
        self.run = os.urandom(8)
        """What they all begin with."""
        self._numbers = itertools.count()  # made in C: several threads may draw from it at once

    def next(self) -> bytes:
        """One that was never given before; those of OTLP payloads are hashes."""
        return self.run + next(self._numbers).to_bytes(8, "big")


def digest_of(signal: Signal, body: bytes) -> bytes:
    """What a body is remembered by."""
    hashed = sha256(signal.encode())  # in hardware: 90 us for 175 KB, where blake2b takes 160
    hashed.update(body)
    return hashed.digest()[:16]
