"""Which faults are planted: one empty file for each in the shop's data folder, where every process looks."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from clew_demo.faults.catalogue import FAULTS

FOLDER_NAME = "faults"
LOOK_EVERY_S = 0.2


class Switchboard:
    """The faults of one shop. A process that is running notices a change within `LOOK_EVERY_S`."""

    def __init__(self, data: Path, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._folder = data / FOLDER_NAME
        self._monotonic_s = monotonic_s
        self._look_again_s = 0.0
        self._planted: dict[str, int] = {}

    def is_on(self, name: str) -> bool:
        """Whether a fault is planted. Cheap enough for every request. Raises `KeyError` for one that is not known."""
        FAULTS[name]
        now_s = self._monotonic_s()
        if now_s >= self._look_again_s:
            self._look_again_s = now_s + LOOK_EVERY_S
            self._planted = self.planted()
        return name in self._planted

    def planted(self) -> dict[str, int]:
        """What is planted, and since when, in nanoseconds since 1970."""
        planted = {}
        for name in FAULTS:
            with suppress(FileNotFoundError):
                planted[name] = (self._folder / name).stat().st_mtime_ns
        return planted

    def plant(self, name: str) -> int:
        """Plant a fault; when that was, in nanoseconds. Twice is as once. Raises `KeyError`."""
        path = self._path(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            path.touch(exist_ok=False)  # the file's own time is when
        return path.stat().st_mtime_ns

    def lift(self, name: str) -> bool:
        """Take a fault away; false if it was not planted. Raises `KeyError`."""
        try:
            self._path(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def lift_all(self) -> None:
        """Take all faults away."""
        for name in FAULTS:
            self.lift(name)

    def _path(self, name: str) -> Path:
        return self._folder / FAULTS[name].name
