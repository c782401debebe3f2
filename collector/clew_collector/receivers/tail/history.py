"""What is known of files that were read before, so that they are known again."""

from collections.abc import Iterator, Mapping
from typing import Final

from clew_collector.receivers.tail.checkpoint import (
    Checkpoint,
    Fingerprint,
    Identity,
    decode_checkpoint,
    key_of,
    log_of,
)

KEPT_S: Final = 35 * 86_400
"""For how long a file that is gone is remembered: a copy of it, or what it was compressed to, may yet turn up."""


class History:
    """Checkpoints by file and by log; begins with those that were saved."""

    def __init__(self, saved: Mapping[str, str]) -> None:
        self._by_key: dict[str, Checkpoint] = {}
        self._by_identity: dict[Identity, set[str]] = {}
        self._by_log: dict[tuple[str, str], set[str]] = {}
        for key, value in saved.items():
            if value and (checkpoint := decode_checkpoint(key, value)) is not None:
                self.remember(checkpoint)

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(tuple(self._by_key.values()))

    def remember(self, checkpoint: Checkpoint) -> None:
        """Know how far a file has been read."""
        if checkpoint.key not in self._by_key:
            self._by_identity.setdefault(checkpoint.identity, set()).add(checkpoint.key)
            self._by_log.setdefault(log_of(checkpoint.path), set()).add(checkpoint.key)
        self._by_key[checkpoint.key] = checkpoint

    def of_file(self, identity: Identity, head: bytes) -> Checkpoint | None:
        """The checkpoint of the very file that begins so."""
        same = (self._by_key[key] for key in self._by_identity.get(identity, ()))
        return max((each for each in same if each.head.matches(head)), key=lambda each: each.saved_s, default=None)

    def of_original(self, identity: Identity, path: str, head: bytes, *, now_s: float) -> Checkpoint | None:
        """A checkpoint for a copy, plain or compressed, made of that of the file that it is a copy of."""
        likely = (self._by_key[key] for key in self._by_log.get(log_of(path), ()))
        original = max(
            (each for each in likely if each.head.matches(head)),
            key=lambda each: (each.head.size, each.saved_s),
            default=None,
        )
        if original is None:
            return None
        copied = Fingerprint.of(head)
        return Checkpoint(
            key=key_of(identity, copied),
            identity=identity,
            path=original.path,
            item=original.item,
            offset=original.offset,
            is_skipping=original.is_skipping,
            head=copied,
            saved_s=int(now_s),
        )

    def forget_old(self, *, now_s: float) -> Iterator[str]:
        """Forget files of which nothing was heard for long, and say by which keys they were known."""
        for key, checkpoint in tuple(self._by_key.items()):
            if checkpoint.saved_s < now_s - KEPT_S:
                del self._by_key[key]
                self._by_identity[checkpoint.identity].discard(key)
                self._by_log[log_of(checkpoint.path)].discard(key)
                yield key
