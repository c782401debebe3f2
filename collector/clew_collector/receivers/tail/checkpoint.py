"""How far a file has been read, and by what it is known again under another name."""

import json
import re
from dataclasses import replace
from hashlib import blake2b
from typing import Final, Self

from clew_collector.model import record

PREFIX: Final = "tail:"
HEAD_BYTES: Final = 1024
"""By so many of its first bytes a file is told from others: devices use the numbers of deleted files again."""

Identity = tuple[int, int]
"""Device and inode."""

# app.log.1, app.log-20260102, app.log.2026-01-02_03; log4j's and logback's app-2026-01-02.1.log.
_rotated = re.compile(r"[-._](?:\d{1,6}|\d{4}-?\d\d-?\d\d(?:[-T_.]?\d[\d:-]*)?|\d{10,14})$").search
_dated = re.compile(r"[-._]\d{4}-?\d\d-?\d\d(?:[-._]\d{1,4})?(?=\.)").sub


@record
class Fingerprint:
    """The first bytes of a file, by their number and digest."""

    size: int
    digest: str

    @classmethod
    def of(cls, head: bytes) -> Self:
        """That of a file which begins so."""
        return cls(size=len(head), digest=_digest(head))

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins so is the one."""
        return len(head) >= self.size and _digest(head[: self.size]) == self.digest


@record
class Checkpoint:
    """How far a file has been read, in bytes of its (decompressed) content.

    `key` stays the same as long as the file is the same: it is made of device, inode and how the file began when it
    was first read. `is_skipping` says that the offset is within a line too long. `saved_s` is in seconds since the
    epoch.
    """

    key: str
    identity: Identity
    path: str
    item: str
    offset: int
    is_skipping: bool
    head: Fingerprint
    saved_s: int

    def encode(self) -> str:
        """The value under the key."""
        return json.dumps(
            {
                "path": self.path,
                "offset": self.offset,
                "skipping": self.is_skipping,
                "head": [self.head.size, self.head.digest],
                "item": self.item,
                "saved_s": self.saved_s,
            }
        )

    def saved_again(self, now_s: int) -> "Checkpoint":
        """The same, not to be forgotten for as long again."""
        return replace(self, saved_s=now_s)


def key_of(identity: Identity, head: Fingerprint) -> str:
    """The key of a file that is read for the first time."""
    return f"{PREFIX}{identity[0]}:{identity[1]}:{head.digest}"


def decode_checkpoint(key: str, value: str) -> Checkpoint | None:
    """The checkpoint that was saved; `None` if it is none, or one of a version that wrote others."""
    try:
        device, inode, _ = key.removeprefix(PREFIX).split(":")
        content = json.loads(value)
        size, digest = content["head"]
        return Checkpoint(
            key=key,
            identity=(int(device), int(inode)),
            path=str(content["path"]),
            item=str(content["item"]),
            offset=int(content["offset"]),
            is_skipping=bool(content["skipping"]),
            head=Fingerprint(size=int(size), digest=str(digest)),
            saved_s=int(content["saved_s"]),
        )
    except (ValueError, KeyError, TypeError):
        return None


def log_of(path: str) -> tuple[str, str]:
    """The folder of a file and its name before it was rotated: files of which these are the same may be one log."""
    folder, _, name = path.rpartition("/")
    return folder, base_name(name)


def is_rotated(path: str) -> bool:
    """Whether a file by its name may be a copy of another: a log's own name is that of a new one."""
    name = path.rpartition("/")[2]
    return base_name(name) != name


def base_name(name: str) -> str:
    """The name of a log before it was rotated, dated or compressed."""
    name = name.removesuffix(".gz")
    while (found := _rotated(name)) is not None and found.start():
        name = name[: found.start()]
    return _dated("", name)


def _digest(head: bytes) -> str:
    return blake2b(head, digest_size=8).hexdigest()
