"""Many messages of Kafka in one payload.

Protobuf was made so that two messages, one behind the other, are both in one: repeated fields merge
(https://protobuf.dev/programming-guides/encoding/#last-one-wins). So bodies are put together as bytes.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Final

from clew_collector.errors import BadPayload
from clew_collector.model import Signal, record
from clew_collector.payload import Payload
from clew_collector.wire.encodings import Encoding, decode_body
from clew_collector.wire.otlp.payload import count_by_service

MAX_RECORDS: Final = 5_000
MAX_BYTES: Final = 1 << 20

Place = tuple[str, int]
"""Topic and partition."""


@record
class KafkaMessage:
    """A message as it was read; `time_ms` is what the broker says of it."""

    place: Place
    offset: int
    time_ms: int
    value: bytes


@record
class Merged:
    """A payload, and the offset that comes next in each partition once it is kept.

    A message that cannot be read is left out of the payload: `refused` says how many, `reason` why the last one was.
    """

    payload: Payload
    positions: Mapping[Place, int]
    refused: int
    reason: str


class Merging:
    """Puts messages together; `checkpoint_prefix` begins the keys under which payloads note how far they go."""

    def __init__(self, *, signals: Mapping[str, Signal], encoding: Encoding, checkpoint_prefix: str) -> None:
        self._signals = signals
        self._encoding = encoding
        self._prefix = checkpoint_prefix

    def merge(self, messages: Iterable[KafkaMessage], *, now_ns: int) -> Iterator[Merged]:
        """Payloads with these messages, those of each partition in their order; `signals` names every topic."""
        open_: dict[Signal, _Part] = {}
        for message in messages:
            signal = self._signals[message.place[0]]
            part = open_.get(signal)
            if part is not None and not part.has_room_for(message):
                yield self._merged(open_.pop(signal))
                part = None
            if part is None:
                part = open_[signal] = _Part(signal)
            part.add(message, self._encoding, now_ns=now_ns)
        yield from map(self._merged, open_.values())

    def _merged(self, part: "_Part") -> Merged:
        payload = Payload(
            signal=part.signal,
            body=b"".join(part.bodies),
            records=part.services.total(),
            digest=part.digest(self._prefix),
            services=part.services,
            checkpoints={checkpoint_key(self._prefix, place): str(next_) for place, next_ in part.positions.items()},
        )
        return Merged(payload=payload, positions=part.positions, refused=part.refused, reason=part.reason)


def checkpoint_prefix(group_id: str) -> str:
    """What the keys of a group's checkpoints begin with."""
    return f"kafka:{group_id}:"


def checkpoint_key(prefix: str, place: Place) -> str:
    """Under which the next offset of a partition is kept."""
    return f"{prefix}{place[0]}:{place[1]}"


class _Part:
    """A payload that is being put together."""

    def __init__(self, signal: Signal) -> None:
        self.signal = signal
        self.bodies: list[bytes] = []
        self.services: Counter[str] = Counter()
        self.positions: dict[Place, int] = {}
        self.refused = 0
        self.reason = ""
        self._bytes = 0
        self._origins: list[tuple[Place, int, int]] = []

    def has_room_for(self, message: KafkaMessage) -> bool:
        return self._bytes + len(message.value) <= MAX_BYTES and self.services.total() < MAX_RECORDS

    def add(self, message: KafkaMessage, encoding: Encoding, *, now_ns: int) -> None:
        self._origins.append((message.place, message.offset, message.time_ms))
        self.positions[message.place] = message.offset + 1
        try:
            request = decode_body(encoding, self.signal, message.value, now_ns=now_ns)
        except BadPayload as error:
            self.refused += 1
            self.reason = f"{message.place[0]}[{message.place[1]}] at offset {message.offset}: {error}"
            return
        body = message.value if encoding == "otlp_proto" else request.SerializeToString()
        self.bodies.append(body)
        self.services.update(count_by_service(request))
        self._bytes += len(body)

    def digest(self, prefix: str) -> bytes:
        """Made of where the messages stood and when they came, not of what they say: equal messages are all kept."""
        return blake2b(f"{prefix}{self._origins}".encode(), digest_size=16).digest()
