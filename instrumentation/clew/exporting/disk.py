"""Batches in a folder while the collector is away: kept over a restart, sent by whoever sees it back first.

A file's name sorts by age and says what is in it. Whoever reads, writes or deletes a file holds its `flock`, which the
kernel takes from a process that dies: there is nothing stale to clean up but the beginnings of files.
"""

import logging
import os
import re
import stat
import zlib
from collections.abc import Callable
from secrets import token_hex
from time import monotonic, time, time_ns
from typing import Final, NamedTuple

from clew.exporting.batch import KINDS, Batch, Kind
from clew.exporting.counters import DISK_BUFFER_CORRUPT, DISK_BUFFER_FULL
from clew.exporting.file_lock import FileLock
from clew.exporting.outage import LOGGER_NAME

TRY_AGAIN_AFTER_S: Final = 30.0
"""How long a folder that could not be written to is left alone."""

_LISTED_FOR_S: Final = 1.0
_BEGINNING: Final = ".clew-"
_BEGINNING_LIVES_S: Final = 60.0
_MAGIC: Final = b"clew-otlp-1"
_match_name: Final = re.compile(
    r"(?P<written_ns>\d{20})-\d+-[0-9a-f]{8}-(?P<records>\d{1,9})-(?P<bytes>\d{1,12})"
    r"\.(?P<kind>traces|logs)(?P<gzip>\.gz)?(?P<corrupt>\.corrupt)?"
).fullmatch


class _File(NamedTuple):
    """A batch's file, by its name."""

    name: str
    kind: Kind
    records: int
    bytes: int
    is_corrupt: bool


class Claim:
    """A batch that nobody else sends meanwhile."""

    def __init__(self, batch: Batch, path: str, lock: FileLock, skipped: set[str]) -> None:
        self.batch = batch
        self._path = path
        self._lock = lock
        self._skipped = skipped

    def remove(self) -> None:
        """The batch has been sent, or never will be."""
        try:
            os.unlink(self._path)
        except OSError:
            # On a disk that is read-only now, perhaps: this process does not send it again, another may.
            self._skipped.add(os.path.basename(self._path))
        self._lock.release()

    def release(self) -> None:
        """The batch may be sent by anyone, later."""
        self._lock.release()


class DiskBuffer:
    """A folder of batches, which several processes may share. Safe to use in several threads."""

    def __init__(self, folder: str, *, max_bytes: int, drop: Callable[[Kind, str, int], None]) -> None:
        self._folder = os.path.abspath(folder)
        self._max_bytes = max_bytes
        self._drop = drop
        self._trouble = _Trouble(self._folder)
        self._skipped: set[str] = set()
        self._to_replay: list[_File] = []
        self._listed_at_s = -_LISTED_FOR_S
        self._used_bytes = 0
        self._measured_at_s = -_LISTED_FOR_S
        self._locks: set[FileLock] = set()

    def write(self, batch: Batch) -> bool:
        """Keep a batch; False if the folder cannot take it, for now."""
        content = _content_of(batch)
        if len(content) > self._max_bytes or not self._trouble.may_try():
            return False
        try:
            self._make_room(len(content))
            try:
                self._write(batch, content)
            except FileNotFoundError:
                # Somebody has deleted the folder.
                self._measured_at_s = -_LISTED_FOR_S
                self._make_room(len(content))
                self._write(batch, content)
        except OSError as error:
            self._trouble.goes_on(error)
            return False
        self._trouble.ends()
        return True

    def claim_oldest(self, kind: Kind) -> Claim | None:
        """The oldest batch of a kind that nobody else is sending; None if there is none."""
        if monotonic() - self._listed_at_s >= _LISTED_FOR_S:
            self._to_replay, self._listed_at_s = self._list(), monotonic()
        for file in [file for file in self._to_replay if file.kind is kind]:
            self._to_replay.remove(file)
            if not file.is_corrupt and file.name not in self._skipped:
                claim = self._claim(file)
                if claim is not None:
                    return claim
        return None

    def forget(self) -> None:
        """In a forked child: let go of the parent's files without unlocking them."""
        for lock in tuple(self._locks):
            lock.leave()

    def _list(self) -> list[_File]:
        """The files that are batches, oldest first; whatever else is in the folder is not ours."""
        try:
            names = os.listdir(self._folder)
        except OSError:
            return []
        files: list[_File] = []
        for name in sorted(names):
            found = _match_name(name)
            if found is not None:
                kind = KINDS[found["kind"]]
                files.append(_File(name, kind, int(found["records"]), int(found["bytes"]), bool(found["corrupt"])))
        return files

    def _make_room(self, more_bytes: int) -> None:
        now_s = monotonic()
        if now_s - self._measured_at_s < _LISTED_FOR_S and self._used_bytes + more_bytes <= self._max_bytes:
            return
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._remove_beginnings()
        files = self._list()
        self._used_bytes, self._measured_at_s = sum(file.bytes for file in files), now_s
        for file in files:
            if self._used_bytes + more_bytes <= self._max_bytes:
                return
            self._evict(file)

    def _evict(self, file: _File) -> None:
        lock = self._lock(file)
        if lock is None:
            return
        try:
            os.unlink(self._path(file.name))
        finally:
            lock.release()
        self._used_bytes -= file.bytes
        if not file.is_corrupt:
            self._drop(file.kind, DISK_BUFFER_FULL, file.records)

    def _write(self, batch: Batch, content: bytes) -> None:
        # Not synced to the disk: what counts is that it survives this process, and syncing takes as long as it likes.
        beginning = self._path(f"{_BEGINNING}{os.getpid()}-{token_hex(4)}")
        lock = FileLock(
            os.open(beginning, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600), self._locks
        )
        try:
            lock.take()
            _write_all(lock.fd, content)
            os.rename(beginning, self._path(_name_of(batch, len(content))))
        except BaseException:
            _unlink_if_there(beginning)
            raise
        finally:
            lock.release()
        self._used_bytes += len(content)

    def _claim(self, file: _File) -> Claim | None:
        lock = self._lock(file)
        if lock is None:
            return None
        try:
            content = _read_all(lock.fd, file.bytes)
        except OSError:
            lock.release()
            return None
        batch = _batch_in(content, file)
        if batch is not None:
            return Claim(batch, self._path(file.name), lock, self._skipped)
        self._set_aside(file)
        lock.release()
        return None

    def _lock(self, file: _File) -> FileLock | None:
        """Open and lock a file; None if somebody else has it, or it is gone, or not ours."""
        path = self._path(file.name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        lock = FileLock(fd, self._locks)
        try:
            opened = os.fstat(fd)
            if stat.S_ISREG(opened.st_mode) and opened.st_uid == os.geteuid():
                lock.take()
                # Whoever had it before has deleted or renamed it, perhaps.
                if os.path.samestat(opened, os.stat(path, follow_symlinks=False)):
                    return lock
        except OSError:
            pass
        lock.release()
        return None

    def _set_aside(self, file: _File) -> None:
        logging.getLogger(LOGGER_NAME).warning("%s is not a batch as clew wrote it; it is not sent", file.name)
        self._drop(file.kind, DISK_BUFFER_CORRUPT, file.records)
        self._skipped.add(file.name)
        try:
            os.rename(self._path(file.name), self._path(f"{file.name}.corrupt"))
        except OSError:
            return

    def _remove_beginnings(self) -> None:
        """Files that a process began to write and then died."""
        for name in os.listdir(self._folder):
            if not name.startswith(_BEGINNING):
                continue
            path = self._path(name)
            try:
                if time() - os.stat(path, follow_symlinks=False).st_mtime > _BEGINNING_LIVES_S:
                    os.unlink(path)
            except OSError:
                continue

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)


class _Trouble:
    """Whether the folder can be written to: one line when that ends, one when it is back."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._until_s: float | None = None

    def may_try(self) -> bool:
        """Whether it is worth trying."""
        return self._until_s is None or monotonic() >= self._until_s

    def goes_on(self, error: OSError) -> None:
        """It could not be written to."""
        if self._until_s is None:
            logging.getLogger(LOGGER_NAME).warning(
                "the disk buffer %s cannot be written to (%s); batches wait in memory", self._folder, error.strerror
            )
        self._until_s = monotonic() + TRY_AGAIN_AFTER_S

    def ends(self) -> None:
        """It could."""
        if self._until_s is not None:
            logging.getLogger(LOGGER_NAME).info("the disk buffer %s can be written to again", self._folder)
        self._until_s = None


def _name_of(batch: Batch, size: int) -> str:
    suffix = ".gz" if batch.is_gzip else ""
    return f"{time_ns():020d}-{os.getpid()}-{token_hex(4)}-{batch.records}-{size}.{batch.kind.name}{suffix}"


def _content_of(batch: Batch) -> bytes:
    return b"%s %08x\n%s" % (_MAGIC, zlib.crc32(batch.body), batch.body)


def _batch_in(content: bytes, file: _File) -> Batch | None:
    head, _, body = content.partition(b"\n")
    if len(content) != file.bytes or head != b"%s %08x" % (_MAGIC, zlib.crc32(body)):
        return None
    return Batch(file.kind, body, file.records, is_gzip=file.name.endswith(".gz"))


def _write_all(fd: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(fd, left) :]


def _read_all(fd: int, expected_bytes: int) -> bytes:
    parts: list[bytes] = []
    left = expected_bytes + 1
    while left and (part := os.read(fd, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _unlink_if_there(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
