"""What is written to files arrives as OTLP payloads, as it was written, or is counted."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from clew_collector.errors import SpoolFull, StoreUnavailable
from clew_collector.receivers.tail.followed import Pace
from clew_collector.receivers.tail.follower import Follower
from clew_collector.receivers.tail.history import History
from clew_collector.receivers.tail.reading import Reader
from tests.collector.receivers.tail.following import Tail, append, attributes_of, eventually

NOBODY = 65534
"""The user and group that own nothing."""


def test_a_line_is_a_record_with_its_file_its_service_and_its_ids(tmp_path: Path) -> None:
    tail = Tail(tmp_path, service="file", attributes={"deployment.environment.name": "test"})
    append(tmp_path / "orders.log", "2026-01-02T03:04:05Z ERROR no stock request_id=req-1\n")

    tail.run(until=lambda: bool(tail.logs))

    [group] = tail.payloads[0].resource_logs
    [log] = tail.logs
    assert {each.key: each.value.string_value for each in group.resource.attributes} == {
        "service.name": "orders",
        "deployment.environment.name": "test",
    }
    assert (log.time_unix_nano, log.severity_number) == (1_767_323_045_000_000_000, 17)
    assert attributes_of(log) == {
        "log.file.path": str(tmp_path / "orders.log"),
        "log.file.name": "orders.log",
        "correlation.id": "req-1",
    }


def test_the_service_that_a_line_names_comes_before_that_of_its_file(tmp_path: Path) -> None:
    tail = Tail(tmp_path, service="default")
    append(tmp_path / "a.log", '{"service":"named","message":"one"}\n{"message":"two"}\n')

    tail.run(until=lambda: len(tail.logs) == 2)

    groups = [group for request in tail.payloads for group in request.resource_logs]
    services = [group.resource.attributes[0].value.string_value for group in groups]
    assert services == ["named", "default"]


def test_files_that_are_there_at_the_first_start_are_read_from_their_end_and_later_ones_whole(tmp_path: Path) -> None:
    tail, file = Tail(tmp_path, start_at="end"), tmp_path / "old.log"
    append(file, "before\nhalf a")
    tail.start_once()

    append(file, " line\n")
    append(tmp_path / "new.log", "made while clew was away\n")
    tail.run(until=lambda: len(tail.bodies) >= 2)

    assert sorted(tail.bodies) == ["half a line", "made while clew was away"]


def test_an_item_that_is_new_in_the_configuration_starts_at_the_end_too(tmp_path: Path) -> None:
    append(tmp_path / "a.log", "old a\n")
    append(tmp_path / "b.txt", "old b\n")
    tail = Tail(tmp_path)
    tail.run(until=lambda: len(tail.bodies) == 1)
    tail.configs.append(tail.configs[0].model_copy(update={"paths": (str(tmp_path / "*.txt"),), "start_at": "end"}))

    async def write() -> None:
        await eventually(lambda: len(tail.checkpoints) == 4)
        append(tmp_path / "b.txt", "new b\n")

    tail.run(write, until=lambda: len(tail.bodies) >= 2)

    assert tail.bodies == ["old a", "new b"]


def test_stopped_and_started_it_reads_on(tmp_path: Path) -> None:
    tail, file = Tail(tmp_path), tmp_path / "a.log"
    for number in range(3):
        append(file, f"line {number}\n")
        tail.run(until=lambda count=number + 1: len(tail.bodies) >= count)  # type: ignore[misc]

    assert tail.bodies == ["line 0", "line 1", "line 2"]


def test_a_stack_trace_is_one_record_though_it_comes_bit_by_bit(tmp_path: Path) -> None:
    tail, file = Tail(tmp_path), tmp_path / "a.log"

    async def write() -> None:
        append(file, "2026-01-02 03:04:05,678 ERROR failed\nTraceback (most recent call last):\n")
        await eventually(lambda: len(tail.checkpoints) == 1)
        append(file, '  File "a.py", line 1, in f\n    f()\nKeyError: 1\n')

    tail.run(write, until=lambda: bool(tail.bodies))

    assert tail.bodies == [
        "2026-01-02 03:04:05,678 ERROR failed\nTraceback (most recent call last):\n"
        '  File "a.py", line 1, in f\n    f()\nKeyError: 1'
    ]


def test_a_line_too_long_is_cut_and_counted_and_the_next_one_is_whole(tmp_path: Path) -> None:
    tail = Tail(tmp_path, max_line_bytes=1024)
    append(tmp_path / "a.log", b"x" * 900_000 + b"\nnext\n")

    tail.run(until=lambda: len(tail.bodies) == 2)

    assert tail.bodies == ["x" * 1024, "next"]
    assert tail.counts == {"dropped: rest of a line over the limit": 1}


def test_a_start_amid_the_rest_of_a_line_that_was_cut_goes_on_after_it(tmp_path: Path) -> None:
    tail, file = Tail(tmp_path, max_line_bytes=1024), tmp_path / "a.log"
    append(file, b"x" * 2_000)
    tail.run(until=lambda: len(tail.bodies) == 1)

    append(file, b"x" * 10 + b"\nnext\n")
    tail.run(until=lambda: len(tail.bodies) >= 2)

    assert tail.bodies == ["x" * 1024, "next"]


def test_bytes_that_are_no_text_do_not_hold_up_the_rest(tmp_path: Path) -> None:
    tail = Tail(tmp_path, multiline="off")
    append(
        tmp_path / "a.log",
        b"\0\0\0one\n\xff\xfe two\r\n\n  \n\xef\xbb\xbfthree\nf\0our\n" + b"\0" * 700_000 + b"five\n",
    )

    tail.run(until=lambda: len(tail.bodies) >= 5)

    assert tail.bodies == ["one", "\\xff\\xfe two", "three", "f\0our", "five"]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-16-be", "shift_jis"])
def test_other_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    tail = Tail(tmp_path, encoding=encoding)
    texts = ["größe"] if encoding == "latin-1" else ["注文", "ਊਊ"] if "16" in encoding else ["注文"]
    append(tmp_path / "a.log", "".join(f"{text}\n" for text in texts).encode(encoding))

    tail.run(until=lambda: len(tail.bodies) >= len(texts))

    assert tail.bodies == texts


@pytest.mark.parametrize("error", [SpoolFull("full"), StoreUnavailable("disk")])
def test_while_the_spool_takes_nothing_it_waits_and_loses_nothing(tmp_path: Path, error: Exception) -> None:
    tail = Tail(tmp_path)
    tail.error = error  # type: ignore[assignment]
    append(tmp_path / "a.log", "one\n")

    async def recover() -> None:
        await eventually(lambda: tail.refused > 0)
        append(tmp_path / "a.log", "two\n")
        tail.error = None

    tail.run(recover, until=lambda: len(tail.bodies) >= 2)

    assert tail.bodies == ["one", "two"]
    assert tail.counts == {}


def test_stopped_while_the_spool_is_full_it_begins_where_it_was(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    append(tmp_path / "a.log", "one\n")
    tail.error = SpoolFull("full")
    tail.run(until=lambda: tail.refused > 0)

    tail.error = None
    tail.run(until=lambda: len(tail.bodies) >= 1)

    assert tail.bodies == ["one"]


def test_a_file_with_several_names_is_read_once(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    append(tmp_path / "a.log", "one\n")
    os.symlink(tmp_path / "a.log", tmp_path / "b.log")
    os.link(tmp_path / "a.log", tmp_path / "c.log")
    os.symlink(tmp_path, tmp_path / "loop.log")
    os.symlink(tmp_path / "nothing", tmp_path / "dangling.log")
    os.mkfifo(tmp_path / "pipe.log")

    async def write() -> None:
        await tail.has("one")
        append(tmp_path / "b.log", "two\n")

    tail.run(write, until=lambda: len(tail.bodies) >= 2)

    assert tail.bodies == ["one", "two"]
    assert tail.counts == {}


def test_a_link_that_is_pointed_at_another_file_is_followed_there(tmp_path: Path) -> None:
    (tmp_path / "pods").mkdir()
    tail, link = Tail(tmp_path, paths=[str(tmp_path / "current.log")]), tmp_path / "current.log"
    append(tmp_path / "pods" / "0.txt", "one\n")
    os.symlink(tmp_path / "pods" / "0.txt", link)

    async def point_elsewhere() -> None:
        await tail.has("one")
        append(tmp_path / "pods" / "1.txt", "two\n")
        link.unlink()
        os.symlink(tmp_path / "pods" / "1.txt", link)

    tail.run(point_elsewhere, until=lambda: len(tail.bodies) >= 2)

    assert tail.bodies == ["one", "two"]


@pytest.mark.parametrize("content", [b"BZh91AY", b"(\xb5/\xfd"])
def test_a_file_that_cannot_be_followed_is_counted_once_and_does_not_hold_up_others(
    tmp_path: Path, content: bytes
) -> None:
    tail = Tail(tmp_path)
    append(tmp_path / "a.log.bz", content)

    async def write() -> None:
        for number in range(3):
            append(tmp_path / "b.log", f"{number}\n")
            await tail.has(str(number))

    tail.run(write, until=lambda: True)

    assert sum(tail.counts.values()) == 1


@pytest.fixture
def folder_of_nobody() -> Iterator[Path]:
    """A folder of who may not read everything: root may, so for a while it is `nobody`."""
    root = os.geteuid() == 0
    with TemporaryDirectory() as folder:
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


def test_a_file_that_may_not_be_read_is_counted_once_and_read_when_it_may(folder_of_nobody: Path) -> None:
    tail, file = Tail(folder_of_nobody), folder_of_nobody / "a.log"
    append(file, "one\n")
    file.chmod(0)

    async def allow() -> None:
        await eventually(lambda: bool(tail.counts))
        file.chmod(0o600)
        append(file, "two\n")

    tail.run(allow, until=lambda: len(tail.bodies) == 2)

    assert tail.counts == {"refused: file cannot be read": 1}


def test_folders_below_are_searched_and_what_is_excluded_is_left_alone(tmp_path: Path) -> None:
    tail = Tail(tmp_path, paths=[f"{tmp_path}/logs/**/*.log"], exclude=["debug*.log", f"{tmp_path}/logs/private/*"])
    for name in ("logs/a.log", "logs/b/c/d.log", "logs/b/debug1.log", "logs/private/e.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        append(tmp_path / name, f"{name}\n")
    os.symlink(tmp_path / "logs", tmp_path / "logs" / "round")

    tail.run(until=lambda: len(tail.bodies) >= 2)

    assert sorted(tail.bodies) == ["logs/a.log", "logs/b/c/d.log"]


def test_a_thousand_files_are_followed_each_in_order(tmp_path: Path) -> None:
    tail = Tail(tmp_path, multiline="off")
    files = [tmp_path / f"service-{number:04}.log" for number in range(1000)]
    for file in files:
        append(file, f"{file.name} 0\n")

    async def write() -> None:
        await eventually(lambda: len(tail.bodies) == 1000)
        for file in files:
            append(file, f"{file.name} 1\n")

    tail.run(write, until=lambda: len(tail.bodies) >= 2000)

    assert sorted(tail.bodies) == sorted(f"{file.name} {line}" for file in files for line in (0, 1))
    assert max(map(tail.bodies.index, (f"{file.name} 0" for file in files))) < 1000


def test_a_thousand_idle_files_cost_little(tmp_path: Path) -> None:
    tail = Tail(tmp_path)
    for number in range(1000):
        append(tmp_path / f"{number}.log", "one\n")
    follower = Follower(tail.configs, {}, pace=Pace(), refuse=print, wall_s=time.time)
    reader = Reader(follower, pace=Pace())
    while reader.next_batch(0.0).is_more:
        pass
    reader.next_batch(2.0)
    start_s = time.process_time()

    payloads = [reader.next_batch(2 + tick / 4).payload for tick in range(40)]
    idle_s = time.process_time() - start_s
    follower.close()

    assert set(payloads) == {None}
    assert idle_s < 2, f"10 seconds cost {idle_s:.2f} s of CPU"


def test_what_is_gone_for_long_is_forgotten(tmp_path: Path) -> None:
    tail, file = Tail(tmp_path), tmp_path / "a.log"
    append(file, "one\n")
    tail.run(until=lambda: bool(tail.bodies))
    assert len(tail.checkpoints) == 2

    file.unlink()
    tail.run(until=lambda: True)
    assert len(tail.checkpoints) == 2

    tail.wall_s += 36 * 86_400
    tail.run(until=lambda: len(tail.checkpoints) == 1)

    assert list(tail.checkpoints) == [f"tail:item:{tail.configs[0].id}"]


def test_a_checkpoint_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    assert (
        list(History({"tail:1:2:x": "nonsense", "tail:1": "{}", "tail:1:2:y": '{"path":1}', "tail:item:a": "x"})) == []
    )
