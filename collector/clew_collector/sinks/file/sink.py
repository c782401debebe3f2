"""Files of records by the hour of their arrival, each with a run of payloads whose numbers are its name."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from clew_collector.model import Signal, record
from clew_collector.sinks.base import Outgoing, RefusedRecord, SinkUnavailable
from clew_collector.sinks.connections import Connections
from clew_collector.sinks.encoding import MACROS, readable
from clew_collector.sinks.file.config import FileSinkConfig
from clew_collector.sinks.file.folders import open_folder
from clew_collector.sinks.file.records import encode_ndjson, encode_parquet
from clew_collector.spool import Spooled

_SUFFIXES: Final = {"ndjson": "ndjson.zst", "parquet": "parquet"}
_ENCODERS: Final = {"ndjson": encode_ndjson, "parquet": encode_parquet}
_NUMBERS: Final = re.compile(r"(\d+)-(\d+)\.(?:ndjson\.zst|parquet)")


@record
class _Run:
    """Payloads that came one behind the other within one hour, and the folder of that hour."""

    folder: str
    ids: list[int]

    @property
    def stem(self) -> str:
        """The file's name without its ending; names sort as the numbers do."""
        return f"{self.ids[0]:012d}-{self.ids[-1]:012d}"


class FileSink:
    """Writes each run of payloads as one file that is never touched again.

    A payload is in a file whole, so the names tell which payloads are there already: when a batch may have been given
    before, these are left out. Raises `ConfigError` if the folder cannot be used.
    """

    def __init__(self, config: FileSinkConfig) -> None:
        self.signals: frozenset[Signal] = config.signals
        self.fill_wait_s = config.fill_wait_s
        self._config = config
        self._folder = open_folder(config)
        self._connections = Connections(MACROS)

    @property
    def name(self) -> str:
        """See `Sink.name`."""
        return self._config.name

    def write(self, outgoing: Outgoing) -> Sequence[RefusedRecord]:
        """See `Sink.write`. A file refuses nothing."""
        if outgoing.signal not in self.signals:
            return []
        runs = [self._without_kept(run, outgoing.attempted_id) for run in _runs(outgoing.signal, outgoing.payloads)]
        missing = [run for run in runs if run.ids]
        if missing:
            with self._connections.holding(outgoing) as encoder, readable(encoder, outgoing) as select:
                for run in missing:
                    of_run = f"SELECT * FROM ({select}) WHERE payload_id BETWEEN {run.ids[0]} AND {run.ids[-1]}"
                    content = _ENCODERS[self._config.format](encoder, outgoing.signal, of_run)
                    if content is not None:
                        self._folder.put(f"{run.folder}/{run.stem}.{_SUFFIXES[self._config.format]}", content)
        return []

    def close(self) -> None:
        """See `Sink.close`."""

    def _without_kept(self, run: _Run, attempted_id: int) -> _Run:
        """A run without the payloads that are in files."""
        files = [range(int(first), int(last) + 1) for first, last in self._numbers(run.folder)]
        kept = {id for id in run.ids if any(id in ids for ids in files)}
        if kept and max(kept) > attempted_id:
            raise SinkUnavailable(
                f"{self._config.url}/{run.folder}: holds payload {max(kept)}, which this collector has not written; "
                "give each collector a folder of its own, and a new one with a new data directory"
            )
        return _Run(folder=run.folder, ids=[id for id in run.ids if id not in kept])

    def _numbers(self, folder: str) -> Iterator[tuple[str, str]]:
        for name in self._folder.names(folder):
            if (found := _NUMBERS.fullmatch(name)) is not None:
                yield found[1], found[2]


def _runs(signal: Signal, payloads: Sequence[Spooled]) -> list[_Run]:
    runs: list[_Run] = []
    for payload in payloads:
        hour = datetime.fromtimestamp(payload.received_ns // 10**9, UTC)
        folder = f"{signal}/{hour:%Y-%m-%d/%H}"
        if runs and runs[-1].folder == folder:
            runs[-1].ids.append(payload.id)
        else:
            runs.append(_Run(folder=folder, ids=[payload.id]))
    return runs
