import time
from collections.abc import Callable
from time import monotonic

import pytest

from clew.context import NO_IDS
from clew.exporting.queue import BoundedQueue
from clew.exporting.sizes import RECORD_BYTES, log_bytes, span_bytes
from clew.exporting.turns import Turns
from clew.freezing import Frozen
from clew.logs.record import LogRecord
from clew.spans import LightSpan, Scope


def a_queue(
    *,
    max_records: int = 100,
    max_bytes: int = 1_000,
    batch_bytes: int = 1_000,
    wake: Callable[[], None] = lambda: None,
    turns: Turns | None = None,
) -> BoundedQueue[str]:
    return BoundedQueue(
        max_records=max_records,
        max_bytes=max_bytes,
        batch_records=4,
        batch_bytes=batch_bytes,
        size_of=len,
        wake=wake,
        turns=turns or Turns(),
    )


def a_log(body: Frozen = "", **attributes: Frozen) -> LogRecord:
    return LogRecord(Scope("shop"), 1, 1, 9, "INFO", body, attributes, NO_IDS)


def test_a_full_queue_keeps_the_oldest_records() -> None:
    queue = a_queue(max_records=3)

    for name in "abcde":
        queue.put(name)

    assert queue.take(10) == ["a", "b", "c"]
    assert queue.dropped() == {"queue_full": 2}


def test_bytes_are_bounded_too() -> None:
    queue = a_queue(max_bytes=10)

    for _ in range(5):
        queue.put("1234")

    assert len(queue) == 2
    assert queue.waiting_bytes == 8
    assert queue.dropped() == {"queue_bytes": 3}


def test_taking_records_makes_room() -> None:
    queue = a_queue(max_bytes=10)
    queue.put("12345")
    queue.put("12345")

    assert queue.take(1) == ["12345"]
    queue.put("abcde")

    assert queue.take(5) == ["12345", "abcde"]
    assert queue.waiting_bytes == 0
    assert queue.dropped() == {}


def test_a_record_larger_than_the_bound_may_wait_alone() -> None:
    queue = a_queue(max_bytes=10)

    queue.put("x" * 50)
    queue.put("y")

    assert queue.take(5) == ["x" * 50]


@pytest.mark.parametrize("names", [["a"] * 4, ["a" * 500, "b" * 500]], ids=["records", "bytes"])
def test_a_batch_wakes_who_sends_it_once(names: list[str]) -> None:
    woken: list[None] = []
    queue = a_queue(wake=lambda: woken.append(None))

    for name in names[:-1]:
        queue.put(name)
    assert not woken
    assert not queue.has_batch
    queue.put(names[-1])

    assert len(woken) == 1
    assert queue.has_batch


@pytest.mark.parametrize(
    ("log", "least"),
    [
        (a_log("x" * 5_000), 5_000),
        (a_log({"inner": ("x" * 5_000, 1)}), 5_000),
        (a_log("", text="x" * 5_000), 5_000),
        (a_log("", raw=b"x" * 5_000), 5_000),
        (a_log("", nested={"a": ({"b": "x" * 5_000},)}), 5_000),
        (a_log("", many=tuple(range(1_000))), 30_000),
        (a_log(None), 0),
    ],
)
def test_whatever_is_large_in_a_log_counts(log: LogRecord, least: int) -> None:
    size = log_bytes(log)

    assert least + RECORD_BYTES <= size <= 3 * least + 2 * RECORD_BYTES


def test_whatever_is_large_in_a_span_counts() -> None:
    span = LightSpan(Scope("shop"), "n" * 1_000, 1, 1)
    span.set_attribute("text", "x" * 2_000)
    span.add_event("e", {"text": "x" * 3_000})
    span.status_description = "d" * 4_000

    assert 10_000 < span_bytes(span) < 10_000 + 2 * RECORD_BYTES


def test_who_queues_steps_aside_only_while_the_export_thread_wants_to_run() -> None:
    asides = []

    class Counted(Turns):
        def step_aside(self) -> None:
            asides.append(self.next_at_s)
            super().step_aside()

    turns = Counted()
    turns.every_s = 60
    queue = a_queue(turns=turns)

    queue.put("nobody waits")
    turns.want(monotonic() + 60)
    queue.put("not yet")
    turns.want(0.0)
    queue.put("now")
    queue.put("not twice in a row")

    assert asides == [0.0]


def test_nobody_steps_aside_under_gevent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _s: pytest.fail("another greenlet would run here"))
    turns = Turns()
    queue = a_queue(turns=turns)

    turns.want(0.0)
    queue.put("a")

    assert queue.take(1) == ["a"]
