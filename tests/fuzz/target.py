"""What a fuzzer throws bytes at, and what counts as a crash."""

import time
from collections.abc import Callable, Iterable

from clew_collector.errors import ClewError
from clew_collector.model import record

MAX_CPU_S = 2.0
"""What an input of at most `MAX_BYTES` may take; what takes longer takes minutes for a body of 16 MB."""
MAX_BYTES = 64 << 10
NOW_NS = 1_790_000_000_000_000_000

Mutation = Callable[[bytes, int, int], bytes]
"""Another input made of one, of at most so many bytes; the last number seeds the chance."""


class TooSlow(AssertionError):
    """A decoder took longer than it may."""


@record
class Target:
    """A decoder: `check` raises if it does anything with bytes but read them or refuse them by an error of `refuses`.

    `seeds` are real inputs to begin with, `words` what they are made of. `mutate` knows their structure. Inputs have
    at most `max_bytes`: of short ones, more can be tried.
    """

    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    refuses: type[ClewError] | None = None
    words: tuple[str, ...] = ()
    mutate: Mutation | None = None
    max_bytes: int = MAX_BYTES

    def try_input(self, data: bytes) -> None:
        """Raise if an input crashes the decoder, or takes it too long."""
        started_s = time.thread_time()
        try:
            self.check(data)
        except ClewError as error:
            if self.refuses is None or not isinstance(error, self.refuses):
                raise
        spent_s = time.thread_time() - started_s
        if spent_s > MAX_CPU_S and len(data) <= MAX_BYTES:
            raise TooSlow(f"{len(data)} bytes took {spent_s:.1f} s of CPU")
