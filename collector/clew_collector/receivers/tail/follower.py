"""All files that are followed: found, told apart from those that were read before, and let go of."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from clew_collector.receivers.tail.checkpoint import Checkpoint, Fingerprint, Identity, is_rotated, key_of, log_of
from clew_collector.receivers.tail.config import TailConfig
from clew_collector.receivers.tail.finding import Found, find, find_rotated, included
from clew_collector.receivers.tail.followed import FollowedFile, Pace
from clew_collector.receivers.tail.history import History
from clew_collector.receivers.tail.source import NotFollowedError, Source, open_source

ITEM: Final = "tail:item:"
"""Begins the key by which an item of the configuration is known to have been followed before."""
_REFRESHED_S: Final = 86_400
_LAST_BYTES: Final = 1 << 20

log = structlog.get_logger(__name__)


class Follower:
    """The files of all items. For one thread; blocks for the disk.

    `unsaved` are checkpoints that are to be saved with the next payload, `""` where one is to be forgotten. `refuse`
    counts, by reason, a file that cannot be followed.
    """

    def __init__(
        self,
        configs: Sequence[TailConfig],
        checkpoints: Mapping[str, str],
        *,
        pace: Pace,
        refuse: Callable[[str], None],
        wall_s: Callable[[], float],
    ) -> None:
        self.files: dict[Identity, FollowedFile] = {}
        self.unsaved: dict[str, str] = {}
        self._configs = configs
        self._pace = pace
        self._refuse = refuse
        self._wall_s = wall_s
        self._history = History(checkpoints)
        self._new_items = {config.id for config in configs if not checkpoints.get(ITEM + config.id)}
        self._is_first = True
        self._refused: dict[str, tuple[int, int]] = {}
        self._read_to_end: dict[Identity, tuple[int, int]] = {}

    def find(self, now_s: float) -> None:
        """Look for files that have come, have another name, or are gone."""
        found = find(self._configs)
        if self._is_first:
            self._add_rotated_meanwhile(found)
        before = {file.found_path: file for file in self.files.values()}
        self._let_go(found, now_s)
        # A log before what may be a copy of it.
        for identity, file in sorted(found.items(), key=lambda each: is_rotated(each[1].path)):
            if identity not in self.files and self._read_to_end.get(identity) != file.changed:
                self._follow(file, before, now_s)
        if self._is_first:
            self._is_first = False
            self.unsaved |= {ITEM + id: "followed" for id in self._new_items}
            self.unsaved |= dict.fromkeys(self._history.forget_old(now_s=self._wall_s()), "")

    def remember(self, file: FollowedFile) -> None:
        """Know how far a file has been read."""
        self._history.remember(file.checkpoint)

    def give_up(self, file: FollowedFile, error: OSError) -> None:
        """Let go of a file that failed, until it changes."""
        status = os.fstat(file.source.fileno())
        self._warn(file.found_path, (status.st_size, status.st_ctime_ns), "file cannot be read", error)
        self._close(file)

    def close(self) -> None:
        """Let go of all files."""
        for file in tuple(self.files.values()):
            self._close(file)

    def _add_rotated_meanwhile(self, found: dict[Identity, Found]) -> None:
        """Add files that were being read, or are newer than those, and now have a name that no pattern matches."""
        configs = {config.id: config for config in self._configs}
        paths = {file.path for file in found.values()}
        saved_s: dict[tuple[str, str], int] = {}
        for checkpoint in self._history:
            log_file = (checkpoint.path, checkpoint.item)
            saved_s[log_file] = max(saved_s.get(log_file, 0), checkpoint.saved_s)
        for (path, item), last_s in saved_s.items():
            if item in configs:
                rotated = [file for file in find_rotated(path, configs[item]) if file.path not in paths]
                for file in self._unread(path, rotated, last_s=last_s):
                    found.setdefault(file.identity, file)

    def _unread(self, path: str, rotated: Sequence[Found], *, last_s: int) -> list[Found]:
        """Those of a log that were being read, and if it was rotated more than once, those written after them."""
        # Whatever has the inode now: that of a file which was compressed and deleted is soon used again.
        known = [file for file in rotated if self._is_known(file.identity, file.path)]
        if not rotated or self._is_still(path):
            return known
        since_ns = max((file.written_ns for file in known), default=last_s * 10**9)
        newer = [file for file in rotated if file not in known and file.written_ns > since_ns]
        return known + [file for file in newer if any(included([file.path], file.config))]

    def _is_still(self, path: str) -> bool:
        """Whether the file that was read under a name is there under that name now."""
        try:
            status = os.stat(path)
        except OSError:
            return False
        head = _head(path)
        return bool(head) and self._history.of_file((status.st_dev, status.st_ino), head) is not None

    def _is_known(self, identity: Identity, path: str) -> bool:
        head = _head(path)
        return bool(head) and self._history.of_original(identity, path, head, now_s=0) is not None

    def _let_go(self, found: Mapping[Identity, Found], now_s: float) -> None:
        for identity, file in tuple(self.files.items()):
            now_found = found.get(identity)
            file.is_gone = now_found is None
            if now_found is None:
                if file.is_over(now_s):
                    self._close(file)
                continue
            file.found_path = now_found.path
            if file.source.is_complete and not file.has_more and not file.waits:
                self._close(file)
                self._read_to_end[identity] = now_found.changed
        for identity in self._read_to_end.keys() - found.keys():
            del self._read_to_end[identity]

    def _follow(self, found: Found, before: Mapping[str, FollowedFile], now_s: float) -> None:
        if self._refused.get(found.path) == found.changed:
            return
        source: Source | None = None
        try:
            source = open_source(found.path)
            file = self._begin(source, found, now_s)
        except FileNotFoundError:
            return
        except (OSError, NotFollowedError) as error:
            reason = f"file is {error}" if isinstance(error, NotFollowedError) else "file cannot be read"
            self._warn(found.path, found.changed, reason, error)
            file = None
        if file is None:
            if source is not None:
                source.close()
            return
        file.predecessor = before.get(found.path)
        self.files[file.identity] = file
        self.remember(file)

    def _begin(self, source: Source, found: Found, now_s: float) -> FollowedFile | None:
        """The file, from where it is to be read; `None` while that cannot be known."""
        head = source.head()
        if not head or source.identity in self.files:
            return None
        checkpoint, is_copy = self._history.of_file(source.identity, head), False
        if checkpoint is None and is_rotated(found.path):
            if self._is_copy_of_followed(found.path, head):
                return None  # once that one is emptied or deleted, it is known how far it was read
            checkpoint = self._history.of_original(source.identity, found.path, head, now_s=self._wall_s())
            is_copy = checkpoint is not None
        if checkpoint is None:
            checkpoint = self._new(source, found, head)
        elif is_copy or checkpoint.saved_s < self._wall_s() - _REFRESHED_S:
            checkpoint = checkpoint.saved_again(int(self._wall_s()))
            self.unsaved[checkpoint.key] = checkpoint.encode()
        file = FollowedFile(source, found.config, checkpoint, pace=self._pace, now_s=now_s, wall_s=self._wall_s)
        file.is_being_copied = is_copy
        file.found_path = found.path
        return file

    def _is_copy_of_followed(self, path: str, head: bytes) -> bool:
        log_name = log_of(path)
        return any(file.looks_like(head) and log_of(file.found_path) == log_name for file in self.files.values())

    def _new(self, source: Source, found: Found, head: bytes) -> Checkpoint:
        is_at_end = self._is_first and found.config.id in self._new_items and found.config.start_at == "end"
        fingerprint = Fingerprint.of(head)
        checkpoint = Checkpoint(
            key=key_of(source.identity, fingerprint),
            identity=source.identity,
            path=found.path,
            item=found.config.id,
            offset=_after_last_line(source) if is_at_end else 0,
            is_skipping=False,
            head=fingerprint,
            saved_s=int(self._wall_s()),
        )
        if is_at_end:
            self.unsaved[checkpoint.key] = checkpoint.encode()
        return checkpoint

    def _close(self, file: FollowedFile) -> None:
        file.source.close()
        file.has_more = False
        self.files.pop(file.identity, None)

    def _warn(self, path: str, changed: tuple[int, int], reason: str, error: Exception) -> None:
        is_known = path in self._refused
        self._refused[path] = changed
        if not is_known:
            log.warning("a file cannot be followed", path=path, error=str(error))
            self._refuse(reason)


def _head(path: str) -> bytes:
    """How a file begins; empty if it cannot be read."""
    try:
        source = open_source(path)
    except (OSError, NotFollowedError):
        return b""
    try:
        return source.head()
    except OSError:
        return b""
    finally:
        source.close()


def _after_last_line(source: Source) -> int:
    """Where the last line that has an end ends: whoever begins at the end shall not see half a line."""
    if source.is_plain:
        size = os.fstat(source.fileno()).st_size
        start = max(0, size - _LAST_BYTES)
        return start + source.read(start, size - start).rfind(b"\n") + 1
    offset = 0
    while chunk := source.read(offset, _LAST_BYTES):
        offset += len(chunk)
    return offset
