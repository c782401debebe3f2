"""A connection's bytes become the messages that were sent, however the network cuts them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew_collector.wire.syslog.framing import CUT, HALF, Frames

LIMIT = 100


class Connection:
    """Frames with what they dropped."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self.frames = Frames(max_bytes=LIMIT, drop=self.dropped.append)

    def send(self, data: bytes, *, step: int | None = None) -> list[bytes]:
        """All messages of a connection that sends this and closes, so many bytes at once."""
        step = step or max(1, len(data))
        messages: list[bytes] = []
        for at in range(0, len(data), step):
            messages += self.frames.feed(data[at : at + step])
        return messages + self.frames.end()


@pytest.fixture
def connection() -> Connection:
    return Connection()


def counted(*messages: bytes) -> bytes:
    return b"".join(b"%d %b" % (len(message), message) for message in messages)


SENT: dict[str, tuple[bytes, list[bytes]]] = {
    "lines": (b"<1>a\n<2>b\n", [b"<1>a", b"<2>b"]),
    "a last line without end": (b"<1>a\n<2>b", [b"<1>a", b"<2>b"]),
    "NULs, as Python's SysLogHandler": (b"<1>a\0<2>b\0", [b"<1>a", b"<2>b"]),
    "NULs and newlines": (b"<1>a\0\n<2>b\0\n<3>c\0", [b"<1>a", b"<2>b", b"<3>c"]),
    "empty lines": (b"\n\n<1>a\n\0\r\n<2>b\n\n", [b"<1>a", b"<2>b"]),
    "counted": (counted(b"<1>a", b"<2>b"), [b"<1>a", b"<2>b"]),
    "counted, with newlines within": (counted(b"<1>a\nb\n\nc", b"<2>d"), [b"<1>a\nb\n\nc", b"<2>d"]),
    "counted, and ended too": (b"4 <1>a\n4 <2>b\r\n", [b"<1>a", b"<2>b"]),
    "counted in characters": (b"6 <1>\xc3\xa9\xc3\xa94 <2>b", [b"<1>\xc3\xa9\xc3", b"\xa9", b"<2>b"]),
    "no PRI": (b"hello\n", [b"hello"]),
    "no PRI and a number first": (b"404 not found\n<1>a\n", [b"404 not found", b"<1>a"]),
    "a date first": (b"2026-01-02 x\n", [b"2026-01-02 x"]),
    "only a number": (b"42", [b"42"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("step", [None, 1, 2, 3, 7])
@pytest.mark.parametrize(("sent", "messages"), SENT.values(), ids=SENT.keys())
def test_messages_come_whole(connection: Connection, sent: bytes, messages: list[bytes], step: int | None) -> None:
    assert connection.send(sent, step=step) == messages
    assert connection.dropped == []


def test_newlines_are_part_of_messages_that_end_with_a_nul(connection: Connection) -> None:
    first, second = connection.frames.feed(b"<1>a\nb\0"), connection.send(b"<2>c\n\nd\0<3>e\nf\0", step=3)

    assert first + second == [b"<1>a\nb", b"<2>c\n\nd", b"<3>e\nf"]


@pytest.mark.parametrize("step", [None, 1, 60])
def test_a_line_over_the_limit_is_cut_once_and_the_next_is_whole(connection: Connection, step: int | None) -> None:
    sent = b"x" * 250 + b"\n<1>next\n"

    assert connection.send(sent, step=step) == [b"x" * LIMIT, b"<1>next"]
    assert connection.dropped == [CUT]


@pytest.mark.parametrize("step", [None, 1, 60])
def test_a_frame_over_the_limit_is_cut_and_the_next_is_whole(connection: Connection, step: int | None) -> None:
    sent = counted(b"<1>" + b"x" * 247, b"<1>next")

    assert connection.send(sent, step=step) == [b"<1>" + b"x" * (LIMIT - 3), b"<1>next"]
    assert connection.dropped == [CUT]


@pytest.mark.parametrize("sent", [b"4 <1>a9 <2>b", b"4 <1>a9 ", b"4 <1>a9"])
def test_half_a_frame_is_dropped_and_counted(connection: Connection, sent: bytes) -> None:
    assert connection.send(sent) == [b"<1>a"]
    assert connection.dropped == [HALF]


def test_what_is_kept_of_an_endless_line_is_bounded(connection: Connection) -> None:
    for _ in range(100):
        connection.frames.feed(b"x" * 90)

    assert connection.frames.end() == []
    assert connection.dropped == [CUT]


MESSAGES = st.lists(
    st.binary(max_size=60).map(lambda message: b"<13>" + message.strip(b"\r\n\0") + b"."), min_size=1, max_size=8
)


@given(messages=MESSAGES, cuts=st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_counted_frames_of_any_content_arrive(messages: list[bytes], cuts: list[int]) -> None:
    frames, sent = Connection().frames, counted(*messages)
    arrived: list[bytes] = []

    while sent:
        step = cuts[len(arrived) % len(cuts)]
        arrived += frames.feed(sent[:step])
        sent = sent[step:]

    assert arrived + frames.end() == messages


@given(chunks=st.lists(st.binary(max_size=80) | st.sampled_from([b"5 <1>", b"99999999 <", b"\n", b"0 ", b"7"])))
def test_no_bytes_make_it_fail_or_keep_more_than_it_may(chunks: list[bytes]) -> None:
    frames = Connection().frames

    messages = [message for chunk in chunks for message in frames.feed(chunk)] + frames.end()

    assert all(0 < len(message) <= LIMIT for message in messages)


def test_bytes_that_come_one_by_one_after_a_wrong_count_are_looked_at_once() -> None:
    frames = Frames(max_bytes=64 << 10, drop=lambda _: None)
    frames.feed(b"5 <1>ab")
    started_s = time.thread_time()

    for _ in range(60_000):
        frames.feed(b"1")

    assert time.thread_time() - started_s < 5  # it took 40 s
