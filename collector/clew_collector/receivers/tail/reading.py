"""New lines of all files as payloads, with how far the files have then been read."""

import time
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Final

import structlog

from clew_collector.model import record
from clew_collector.payload import OwnDigests, Payload, payload_of
from clew_collector.receivers.tail.checkpoint import base_name
from clew_collector.receivers.tail.followed import FollowedFile, Pace
from clew_collector.receivers.tail.follower import Follower
from clew_collector.wire.lines.formats import decode_line
from clew_collector.wire.lines.line import DecodedLine, Reading
from clew_collector.wire.lines.multiline import Joined
from clew_collector.wire.lines.otlp import LinesRequest, Origin

MAX_RECORDS: Final = 5_000
MAX_BYTES: Final = 2 << 20
_BOM: Final = "\ufeff"

log = structlog.get_logger(__name__)


@record
class Batch:
    """What was new; `is_more` says that more can be read at once, `cut_lines` how many lines were too long."""

    payload: Payload | None
    cut_lines: int
    is_more: bool


class Reader:
    """Reads the files of a follower in turns. For one thread; blocks for the disk."""

    def __init__(self, follower: Follower, *, pace: Pace, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._follower = follower
        self._pace = pace
        self._clock_ns = clock_ns
        self._found_s = float("-inf")
        self._turn = 0
        self._digests = OwnDigests()

    def next_batch(self, now_s: float) -> Batch:
        """What has been written since, up to a bound; a payload without records has checkpoints only."""
        if now_s - self._found_s >= self._pace.find_s:
            self._follower.find(now_s)
            self._found_s = now_s
        request = LinesRequest()
        received_ns = self._clock_ns()
        checkpoints: dict[str, str] = {}
        cut_lines = 0
        for file, records in self._read_in_turns(now_s):
            reading, origin = file.config.reading(received_ns), _origin(file)
            for joined in records:
                request.add(_decoded(joined, file, reading), origin, received_ns=received_ns)
                cut_lines += joined.is_cut
            checkpoints[file.checkpoint.key] = file.checkpoint.encode()
        checkpoints = {**self._follower.unsaved, **checkpoints}
        self._follower.unsaved.clear()
        payload = None
        if checkpoints:
            digest = self._digests.next()  # equal lines are all kept
            payload = payload_of("logs", request.message, digest=digest, checkpoints=checkpoints)
        is_more = any(file.has_more for file in self._follower.files.values())
        return Batch(payload=payload, cut_lines=cut_lines, is_more=is_more)

    def _read_in_turns(self, now_s: float) -> Iterator[tuple[FollowedFile, list[Joined]]]:
        """Files with new records; begins where the last batch was full."""
        files = list(self._follower.files.values())
        turn = self._turn % len(files) if files else 0
        self._turn = 0
        count = size = 0
        for number, file in enumerate(files[turn:] + files[:turn]):
            if count >= MAX_RECORDS or size >= MAX_BYTES:
                self._turn = turn + number
                return
            records = self._read(file, now_s, max_records=MAX_RECORDS - count)
            if records:
                count += len(records)
                size += sum(len(joined.data) for joined in records)
                yield file, records

    def _read(self, file: FollowedFile, now_s: float, *, max_records: int) -> list[Joined]:
        if file.predecessor is not None:
            if file.predecessor.has_more:
                return []
            file.predecessor = None
        try:
            records = file.read(now_s, max_records=max_records)
        except OSError as error:
            self._follower.give_up(file, error)
            return []
        self._follower.remember(file)
        return records


def _origin(file: FollowedFile) -> Origin:
    name = PurePath(file.path).name
    service = file.config.service_of(base_name(name))
    return Origin(path=file.path, name=name, service=service, attributes=file.config.attributes)


def _decoded(joined: Joined, file: FollowedFile, reading: Reading) -> DecodedLine:
    text = joined.data.decode(errors="backslashreplace").removeprefix(_BOM).rstrip("\r\0")
    try:
        return decode_line(text, file.config.format, reading)
    except Exception:
        # Nothing is known to get here, and a line that does shall neither be lost nor hold up all others.
        log.exception("a line could not be decoded", path=file.path)
        return DecodedLine(body=text)
