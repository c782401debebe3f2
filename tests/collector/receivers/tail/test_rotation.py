"""However files are rotated, each line is taken once."""

import asyncio
import gzip
import os
import shutil
from pathlib import Path

import pytest

from clew_collector.receivers.tail import TailConfig
from clew_collector.receivers.tail.followed import Pace
from clew_collector.receivers.tail.follower import Follower
from tests.collector.receivers.tail.following import Tail, append


@pytest.fixture
def tail(tmp_path: Path) -> Tail:
    return Tail(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def lines(start: int, end: int) -> str:
    return "".join(f"line {number}\n" for number in range(start, end))


def expected(count: int) -> list[str]:
    return [f"line {number}" for number in range(count)]


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_a_file_renamed_under_its_writer_is_read_to_its_end_before_the_new_one(tmp_path: Path, pattern: str) -> None:
    tail, file = Tail(tmp_path, paths=[str(tmp_path / pattern)]), tmp_path / "app.log"
    append(file, lines(0, 3))

    async def rotate() -> None:
        await tail.has("line 1")
        with file.open("ab") as writer:
            os.rename(file, tmp_path / "app.log.1")
            append(file, lines(6, 8))
            writer.write(lines(3, 6).encode())

    tail.run(rotate, until=lambda: len(tail.bodies) >= 8)

    assert sorted(tail.bodies) == expected(8)
    assert tail.bodies.index("line 0") < tail.bodies.index("line 6")


def test_a_file_renamed_while_clew_was_away_is_read_on_though_no_pattern_matches_it(tmp_path: Path) -> None:
    tail, file = Tail(tmp_path, paths=[str(tmp_path / "app.log")]), tmp_path / "app.log"
    append(file, lines(0, 3))
    tail.run(until=lambda: len(tail.bodies) == 3)

    append(file, lines(3, 5))
    os.rename(file, tmp_path / "app.log-20260102")
    append(file, lines(5, 7))
    tail.run(until=lambda: len(tail.bodies) >= 7)

    assert sorted(tail.bodies) == expected(7)


def in_turn(file: Path, suffixes: list[str], *, copies: bool, compresses: bool) -> None:
    """Rotate several times, an hour after one another."""
    for number, suffix in enumerate(suffixes):
        rotated = Path(f"{file}{suffix}")
        append(file, lines(3 + number, 4 + number))
        if copies:
            shutil.copyfile(file, rotated)
            os.truncate(file, 0)
        else:
            os.rename(file, rotated)
        written_s = 1_800_000_000 + 3600 * number
        if compresses:
            rotated.with_name(f"{rotated.name}.gz").write_bytes(gzip.compress(rotated.read_bytes()))
            rotated.unlink()
        for each in rotated.parent.glob(f"{rotated.name}*"):
            os.utime(each, (written_s, written_s))


@pytest.mark.parametrize("compresses", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("copies", [False, True], ids=["renamed", "copied"])
def test_a_log_rotated_several_times_while_clew_was_away_is_read_though_no_pattern_matches_that(
    tmp_path: Path, copies: bool, compresses: bool
) -> None:
    tail, file = Tail(tmp_path, paths=[str(tmp_path / "*.log")]), tmp_path / "app.log"
    append(tmp_path / "app.log.4", "from before clew was there\n")
    os.utime(tmp_path / "app.log.4", (1_700_000_000, 1_700_000_000))
    append(file, lines(0, 3))
    tail.run(until=lambda: len(tail.bodies) == 3)

    in_turn(file, [".3", ".2", ".1"], copies=copies, compresses=compresses)
    append(file, lines(6, 7))
    tail.run(until=lambda: len(tail.bodies) >= 7)
    append(file, lines(7, 8))
    tail.run(until=lambda: len(tail.bodies) >= 8)

    assert sorted(tail.bodies) == expected(8)


def test_of_a_log_whose_last_file_is_gone_those_written_since_are_read_but_what_is_excluded(
    tail: Tail, file: Path
) -> None:
    tail.configs[0] = tail.configs[0].model_copy(update={"paths": (str(file),), "exclude": ("*.1",)})
    append(file, lines(0, 3))
    tail.run(until=lambda: len(tail.bodies) == 3)

    in_turn(file, [".3", ".2", ".1"], copies=False, compresses=False)
    Path(f"{file}.3").unlink()
    append(file, lines(6, 7))
    tail.run(until=lambda: len(tail.bodies) >= 5)

    assert sorted(tail.bodies) == ["line 0", "line 1", "line 2", "line 4", "line 6"]


def test_beside_a_log_that_was_not_rotated_nothing_is_read_that_no_pattern_matches(tail: Tail, file: Path) -> None:
    tail.configs[0] = tail.configs[0].model_copy(update={"paths": (str(file),)})
    append(file, lines(0, 3))
    tail.run(until=lambda: len(tail.bodies) == 3)

    append(Path(f"{file}.1"), "somebody's copy\n")
    os.utime(f"{file}.1", (1_900_000_000, 1_900_000_000))
    append(file, lines(3, 4))
    tail.run(until=lambda: len(tail.bodies) >= 4)

    assert tail.bodies == expected(4)


def test_copytruncate_loses_nothing_and_the_copy_is_not_read_again(tail: Tail, file: Path) -> None:
    append(file, lines(0, 3))

    async def rotate() -> None:
        await tail.has("line 2")
        append(file, lines(3, 5))
        shutil.copyfile(file, f"{file}.1")
        os.truncate(file, 0)
        append(file, lines(5, 9))
        await tail.has("line 8", "line 4")

    tail.run(rotate, until=lambda: len(tail.bodies) >= 9)

    assert sorted(tail.bodies) == expected(9)


@pytest.mark.parametrize("is_empty_before", [True, False])
def test_a_copy_of_what_has_not_been_read_yet_is_not_read_beside_it(file: Path, is_empty_before: bool) -> None:
    config = TailConfig(paths=(f"{file}*",), start_at="beginning")
    follower = Follower([config], {}, pace=Pace(), refuse=pytest.fail, wall_s=lambda: 1_800_000_000.0)

    def look(*, reads: bool) -> set[str]:
        follower.find(0.0)
        for followed in follower.files.values() if reads else ():
            followed.read(0.0, max_records=1000)
        return {followed.found_path for followed in follower.files.values()}

    append(file, lines(0, 3))
    look(reads=True)
    os.truncate(file, 0)
    look(reads=is_empty_before)
    append(file, lines(3, 500))
    shutil.copyfile(file, f"{file}.1")

    assert look(reads=False) == {str(file)}
    follower.close()


def test_copytruncate_while_clew_was_away_loses_nothing(tail: Tail, file: Path) -> None:
    append(file, lines(0, 3))
    tail.run(until=lambda: len(tail.bodies) == 3)

    append(file, lines(3, 5))
    shutil.copyfile(file, f"{file}.1")
    os.truncate(file, 0)
    append(file, lines(5, 9))
    tail.run(until=lambda: len(tail.bodies) >= 9)

    assert sorted(tail.bodies) == expected(9)


def test_a_file_emptied_under_a_writer_that_goes_on_where_it_was_has_no_lines_of_nuls(tail: Tail, file: Path) -> None:
    with file.open("wb") as writer:
        writer.write(lines(0, 1000).encode())
        writer.flush()

        async def cut_back() -> None:
            await tail.has("line 999")
            os.truncate(file, 0)
            writer.write(b"after\n")
            writer.flush()

        tail.run(cut_back, until=lambda: "after" in tail.bodies)

    assert tail.bodies == [*expected(1000), "after"]


def test_a_file_emptied_and_written_beyond_where_it_was_is_read_from_its_beginning(tail: Tail, file: Path) -> None:
    append(file, lines(0, 2))

    async def rewrite() -> None:
        await tail.has("line 0")
        os.truncate(file, 0)
        append(file, "".join(f"other {number}\n" for number in range(50)))

    tail.run(rewrite, until=lambda: "other 49" in tail.bodies)

    assert "other 0" in tail.bodies
    assert len(tail.bodies) == len(set(tail.bodies))


def test_a_file_deleted_and_made_again_is_another(tail: Tail, file: Path) -> None:
    append(file, lines(0, 2))

    async def recreate() -> None:
        await tail.has("line 1")
        with file.open("ab") as writer:
            os.unlink(file)
            writer.write(b"last words\n")
        append(file, lines(0, 2))

    tail.run(recreate, until=lambda: len(tail.bodies) >= 5)

    assert sorted(tail.bodies) == sorted(["line 0", "line 1", "last words", "line 0", "line 1"])


def test_a_last_line_without_an_end_waits_for_it(tail: Tail, file: Path) -> None:
    append(file, "half")

    async def finish() -> None:
        append(file.with_name("other.log"), "whole\n")
        await tail.has("whole")
        append(file, " and half\n")

    tail.run(finish, until=lambda: len(tail.bodies) == 2)

    assert sorted(tail.bodies) == ["half and half", "whole"]


def test_a_last_line_without_an_end_is_taken_once_its_file_is_gone(tail: Tail, file: Path) -> None:
    append(file, "whole\nhalf")

    async def delete() -> None:
        await tail.has("whole")
        os.unlink(file)

    tail.run(delete, until=lambda: len(tail.bodies) >= 2)

    assert tail.bodies == ["whole", "half"]


@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_a_file_compressed_before_it_was_read_to_its_end_is_read_on_within(tmp_path: Path, pattern: str) -> None:
    tail, file = Tail(tmp_path, paths=[str(tmp_path / pattern)]), tmp_path / "app.log"
    append(file, lines(0, 1000))
    tail.run(until=lambda: len(tail.bodies) == 1000)

    append(file, lines(1000, 3000) + "without end")
    os.rename(file, tmp_path / "app.log.1")
    (tmp_path / "app.log.1.gz").write_bytes(gzip.compress((tmp_path / "app.log.1").read_bytes()))
    (tmp_path / "app.log.1").unlink()
    append(file, lines(3000, 3002))
    tail.run(until=lambda: len(tail.bodies) >= 3003)

    assert sorted(tail.bodies) == sorted([*expected(3002), "without end"])


def test_a_file_that_was_read_is_not_read_again_when_it_is_compressed_and_numbered(tail: Tail, file: Path) -> None:
    append(file, lines(0, 3))

    async def rotate() -> None:
        await tail.has("line 2")
        os.rename(file, f"{file}.1")
        await (await asyncio.create_subprocess_exec("gzip", f"{file}.1")).wait()
        append(file, lines(3, 5))
        await tail.has("line 4")
        os.rename(f"{file}.1.gz", f"{file}.2.gz")
        append(file, lines(5, 6))
        await tail.has("line 5")

    tail.run(rotate, until=lambda: len(tail.bodies) >= 6)
    append(file, lines(6, 7))
    tail.run(until=lambda: len(tail.bodies) >= 7)

    assert sorted(tail.bodies) == expected(7)


def test_a_compressed_file_that_comes_later_is_read_whole_all_its_members(tail: Tail, file: Path) -> None:
    Path(f"{file}-20260101.gz").write_bytes(gzip.compress(b"one\n") + gzip.compress(b"two\nthree"))

    tail.run(until=lambda: len(tail.bodies) >= 3)

    assert tail.bodies == ["one", "two", "three"]


def test_a_damaged_compressed_file_gives_what_can_be_read_and_is_counted_once(tail: Tail, file: Path) -> None:
    content = bytearray(gzip.compress(os.urandom(400_000).hex().encode() + b"\n"))
    content[200_000:200_100] = b"\xff" * 100
    Path(f"{file}.1.gz").write_bytes(content)
    append(file, "line 0\n")

    tail.run(until=lambda: "line 0" in tail.bodies and bool(tail.counts))

    assert tail.counts["refused: file cannot be read"] == 1


LOGROTATE = """{folder}/app.log {{
    rotate 5
    {how}
    compress
    size 1
}}
"""


@pytest.mark.parametrize("how", ["create 0644", "copytruncate", "create 0644\n    delaycompress\n    dateext"])
def test_logrotate_itself_loses_and_doubles_nothing(tmp_path: Path, logrotate: str, how: str) -> None:
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    tail, file = Tail(folder, paths=[str(folder / "app.log*")]), folder / "app.log"
    (tmp_path / "conf").write_text(LOGROTATE.format(folder=folder, how=how))
    (tmp_path / "conf").chmod(0o644)

    async def rotate() -> None:
        for turn in range(4):
            append(file, lines(turn * 500, turn * 500 + 500))
            argv = [logrotate, "-f", "-s", f"{tmp_path}/state", f"{tmp_path}/conf"]
            rotating = await asyncio.create_subprocess_exec(*argv)
            await rotating.wait()
            await tail.has(f"line {turn * 500 + 499}")

    tail.run(rotate, until=lambda: len(tail.bodies) >= 2000)

    assert sorted(tail.bodies) == sorted(expected(2000))
