"""Lines that are one record are joined, and no others."""

import re
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew_collector.wire.lines.cutting import Cutter
from clew_collector.wire.lines.multiline import MAX_LINES, Joiner

CHAINED = """2026-01-02 03:04:05,678 ERROR failed
Traceback (most recent call last):
  File "a.py", line 1, in f
    f()
KeyError: 1

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 2, in g
ValueError
"""
JAVA = """03:04:05 ERROR failed
java.lang.IllegalStateException: no
\tat a.B.c(B.java:1)
Caused by: java.io.IOException: gone
\t... 12 more
"""


def joined(text: str, start: "re.Pattern[bytes] | Literal['auto', 'off']" = "auto", max_bytes: int = 4096) -> list[str]:
    joiner = Joiner(start, max_bytes=max_bytes)
    records = [joiner.feed(line) for line in Cutter(encoding="utf-8", max_bytes=max_bytes).cut(text.encode())]
    return [record.data.decode() for record in [*records, joiner.flush()] if record is not None]


@pytest.mark.parametrize("trace", [CHAINED, JAVA])
def test_a_stack_trace_belongs_to_the_line_before_it_and_ends_where_it_ends(trace: str) -> None:
    assert joined(f"before\n{trace}after\nlast\n") == ["before", trace.rstrip("\n"), "after", "last"]


def test_a_pattern_tells_where_records_begin() -> None:
    assert joined("a 1\nx\n\ny\na 2\n", re.compile(b"^a ")) == ["a 1\nx\n\ny", "a 2"]


def test_off_joins_nothing() -> None:
    assert joined("a\n b\n\nc\n", "off") == ["a", " b", "c"]


def test_a_record_has_a_bound_and_the_rest_is_another() -> None:
    by_lines = joined("a\n" + " b\n" * (MAX_LINES + 5), max_bytes=1 << 20)
    by_bytes = joined("a\n" + " bbbb\n" * 20, max_bytes=32)

    assert [record.count("\n") + 1 for record in by_lines] == [MAX_LINES, 6]
    assert len(by_bytes) > 1
    assert all(len(record) <= 32 for record in by_bytes)


@given(lines=st.lists(st.sampled_from(["a", " b", "Traceback (most recent call last):", "KeyError: 1", "", "\tat x"])))
def test_no_line_is_lost_or_moved_whatever_is_joined(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)

    kept = [line for record in joined(text) for line in record.split("\n") if line]

    assert kept == [line for line in lines if line]
