"""The files that patterns match now."""

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Final

from clew_collector.model import record
from clew_collector.receivers.tail.checkpoint import Identity, log_of
from clew_collector.receivers.tail.config import TailConfig

_WILD: Final = frozenset("*?[")


@record
class Found:
    """A file under the name that a pattern matched.

    `changed` is its size and when it or its rights changed; `written_ns` when it was last written.
    """

    path: str
    identity: Identity
    changed: tuple[int, int]
    written_ns: int
    config: TailConfig


def find(configs: Iterable[TailConfig]) -> dict[Identity, Found]:
    """Every regular file that an item's patterns match, once, whatever names and links it has.

    Links to files are followed, links to folders only where a pattern names them: they may go round in circles.
    Folders that may not be read are left out.
    """
    found: dict[Identity, Found] = {}
    for config in configs:
        for path in sorted(included({path for pattern in config.paths for path in _matching(pattern)}, config)):
            if (file := look_at(path, config)) is not None:
                found.setdefault(file.identity, file)
    return found


def included(paths: Iterable[str], config: TailConfig) -> Iterator[str]:
    """Those that the item does not exclude."""
    left_out = {path for pattern in config.exclude if _is_path(pattern) for path in _matching(pattern)}
    by_name = [pattern for pattern in config.exclude if not _is_path(pattern)]
    for path in paths:
        if path not in left_out and not any(PurePath(path).match(pattern) for pattern in by_name):
            yield path


def find_rotated(path: str, config: TailConfig) -> Iterator[Found]:
    """Files beside one that may be the same log, rotated, whether a pattern matches or excludes them or not."""
    folder = os.path.dirname(path)
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):
            beside = os.path.join(folder, name)
            if beside != path and log_of(beside) == log_of(path) and (file := look_at(beside, config)) is not None:
                yield file


def look_at(path: str, config: TailConfig) -> Found | None:
    """The regular file at a path, if there is one."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    identity = (status.st_dev, status.st_ino)
    return Found(
        path=path,
        identity=identity,
        changed=(status.st_size, status.st_ctime_ns),
        written_ns=status.st_mtime_ns,
        config=config,
    )


def _is_path(pattern: str) -> bool:
    return pattern.startswith(("/", "~"))


def _matching(pattern: str) -> Iterator[str]:
    path = Path(pattern).expanduser().absolute()
    if _WILD.isdisjoint(str(path)):
        yield str(path)
        return
    with suppress(OSError):
        for match in Path(path.anchor).glob(str(path.relative_to(path.anchor))):
            yield str(match)
