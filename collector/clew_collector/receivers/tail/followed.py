"""One file that is followed: its new lines as records, and how far it has been read."""

import os
from collections.abc import Callable
from typing import Final

from clew_collector.model import record
from clew_collector.receivers.tail.checkpoint import HEAD_BYTES, Checkpoint, Fingerprint, Identity, key_of
from clew_collector.receivers.tail.config import TailConfig
from clew_collector.receivers.tail.source import Source
from clew_collector.wire.lines.cutting import Cutter
from clew_collector.wire.lines.multiline import Joined, Joiner

_LEAST_CHUNK_BYTES: Final = 256 << 10


@record
class Pace:
    """How often files are looked at and looked for, and for how long nothing must come until something is over."""

    poll_s: float = 0.25
    find_s: float = 1.0
    record_over_s: float = 1.0
    """A record that could go on over several lines."""
    line_over_s: float = 5.0
    """A last line without an end, once the file was deleted or rotated away."""
    file_over_s: float = 60.0
    """A file that was deleted or rotated away: its writer may still have it open."""


class FollowedFile:
    """Reads a file from `checkpoint` on. For one thread.

    What has been read is the caller's: it saves `checkpoint` together with it, and after a crash reads on from there.
    Nothing of a line or record that is not complete is kept in memory: it is read again.
    """

    def __init__(
        self,
        source: Source,
        config: TailConfig,
        checkpoint: Checkpoint,
        *,
        pace: Pace,
        now_s: float,
        wall_s: Callable[[], float],
    ) -> None:
        self.source = source
        self.config = config
        self.path = checkpoint.path
        self.found_path = checkpoint.path
        """Where the file is now; `path` is what it was followed as."""
        self.is_gone = False
        self.is_being_copied = False
        """Whether it may yet be shorter than what has been read of the file that it is a copy of."""
        self.predecessor: FollowedFile | None = None
        """What had the name before, whose lines come first."""
        self.has_more = True
        """Whether more than was asked for could have been read at once."""
        self._checkpoint = checkpoint
        self._offset = checkpoint.offset
        self._is_skipping = checkpoint.is_skipping
        self._head: Fingerprint | None = checkpoint.head
        self._pace = pace
        self._wall_s = wall_s
        self._cutter = Cutter(encoding=config.encoding, max_bytes=config.max_line_bytes)
        self._chunk_bytes = max(_LEAST_CHUNK_BYTES, 2 * config.max_line_bytes + 8)
        self._seen_bytes = -1
        self._changed_s = now_s
        self.waits = False
        """Whether there is a line or record that may go on."""

    @property
    def identity(self) -> Identity:
        """Device and inode."""
        return self.source.identity

    @property
    def checkpoint(self) -> Checkpoint:
        """How far it has been read."""
        return self._checkpoint

    def looks_like(self, head: bytes) -> bool:
        """Whether a file that begins so may be a copy of this one, as it was when it was last read or as it is now."""
        if self._head is not None and self._head.matches(head):
            return True
        if not self.source.is_plain:
            return False
        now = self.source.head()  # emptied and written to since: what stands there has not been read yet
        return now.startswith(head) or (bool(now) and head.startswith(now))

    def is_over(self, now_s: float) -> bool:
        """Whether it is gone, read to its end, and nobody seems to write to it any more."""
        # A last line without an end is taken before; what will never be a line, NUL bytes, holds it for longer only.
        patience = 3 if self.waits else 1
        quiet_s = now_s - self._changed_s
        return self.is_gone and not self.has_more and quiet_s >= patience * self._pace.file_over_s

    def read(self, now_s: float, *, max_records: int) -> list[Joined]:
        """The records that are complete now. Blocks for the disk. Raises `OSError` if the file fails."""
        size = os.fstat(self.source.fileno()).st_size
        if self.is_being_copied and self.source.is_plain and size < self._offset:
            self.has_more = False
            return []
        self.is_being_copied = False
        if size != self._seen_bytes:
            self._changed_s = now_s
            self._start_over_if_cut_back(size)
        quiet_s = now_s - self._changed_s
        if size == self._seen_bytes and not self.has_more and not self._is_due(quiet_s):
            return []
        self._seen_bytes = size
        records = self._read_on(quiet_s, max_records)
        self._save_position()
        return records

    def _start_over_if_cut_back(self, size: int) -> None:
        """Read from the beginning where the file was emptied, whatever has been written to it since."""
        if not self.source.is_plain:
            return
        head = self.source.head()
        is_same = self._head is None or self._head.matches(head)
        if size >= self._offset and is_same:
            if self._head is None or self._head.size < min(len(head), HEAD_BYTES):
                self._know_by(head)
            return
        self._offset, self._is_skipping, self._head = 0, False, None
        if head:
            self._know_by(head)

    def _know_by(self, head: bytes) -> None:
        """Tell the file by more of its first bytes; one that was emptied is another from here on."""
        if not head:
            return
        is_new = self._head is None
        self._head = Fingerprint.of(head)
        if is_new:
            self._checkpoint = Checkpoint(
                key=key_of(self.identity, self._head),
                identity=self.identity,
                path=self.path,
                item=self.config.id,
                offset=self._offset,
                is_skipping=False,
                head=self._head,
                saved_s=int(self._wall_s()),
            )

    def _is_due(self, quiet_s: float) -> bool:
        return self.waits and (quiet_s >= self._pace.record_over_s or self.source.is_complete)

    def _read_on(self, quiet_s: float, max_records: int) -> list[Joined]:
        chunk = self.source.read(self._offset, self._chunk_bytes)
        is_end = len(chunk) < self._chunk_bytes
        self.has_more = not is_end
        start = self._skip(chunk)
        if start is None:
            return []
        chunk = chunk[start:]
        is_over = is_end and (quiet_s >= self._pace.record_over_s or self.source.is_complete)
        records, end = self._records(chunk, max_records, is_over=is_over)
        if end is None:  # more records than were asked for
            self.has_more = True
            end = records[-1].end
        elif is_over and self._is_line_over(quiet_s) and not self._is_skipping and chunk[end:].strip(b"\0\r\n"):
            records.append(Joined(self._cutter.last(chunk[end:]), len(chunk), False))
            end = len(chunk)
        self.waits = end < len(chunk)
        self._offset += end
        return records

    def _skip(self, chunk: bytes) -> int | None:
        """Where the next line starts; `None` if that is not known yet."""
        if not self._is_skipping:
            nuls = self._cutter.nuls(chunk)
            self._offset += nuls
            return nuls
        end = self._cutter.skip(chunk)
        self._offset += len(chunk) if end is None else end
        self._is_skipping = end is None
        return end

    def _records(self, chunk: bytes, max_records: int, *, is_over: bool) -> tuple[list[Joined], int | None]:
        """Records of a chunk and how many bytes they are; `None` if there are more than may be taken."""
        joiner = Joiner(self.config.start, max_bytes=self.config.max_line_bytes)
        records: list[Joined] = []
        for line in self._cutter.cut(chunk):
            joined = [joiner.feed(line)]
            if line.is_cut:
                self._is_skipping = True
                joined.append(joiner.flush(is_cut=True))
            records += filter(None, joined)
            if len(records) >= max_records:
                return records, None
        # A full chunk without one record has all that a record may have.
        is_full = self.has_more and not records
        if is_over or is_full or self.config.start == "off":
            records += filter(None, [joiner.flush()])
        if joiner.is_waiting:
            return records, records[-1].end if records else 0
        return records, joiner.end

    def _is_line_over(self, quiet_s: float) -> bool:
        return self.source.is_complete or (self.is_gone and quiet_s >= self._pace.line_over_s)

    def _save_position(self) -> None:
        if self._head is None:
            return
        before = self._checkpoint
        self._checkpoint = Checkpoint(
            key=before.key,
            identity=before.identity,
            path=self.path,
            item=self.config.id,
            offset=self._offset,
            is_skipping=self._is_skipping,
            head=self._head,
            saved_s=int(self._wall_s()),
        )
