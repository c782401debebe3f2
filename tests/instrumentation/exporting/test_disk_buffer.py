"""Batches in a folder while the collector is away."""

import logging
import os
import shutil
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.exporting import counters
from clew.exporting.batch import LOGS, TRACES, Batch, Kind
from clew.exporting.counters import DISK_BUFFER_CORRUPT, DISK_BUFFER_FULL
from clew.exporting.disk import DiskBuffer
from clew.runtime import RUNTIME
from tests.instrumentation.exporting.peers import Answer, closed_port, grpc_peer, http_peer, silent_server
from tests.instrumentation.fake_collector import FakeCollector, Reply

DEADLINE_S = 30.0


def make_spans(*names: str) -> None:
    for name in names:
        clew.get_tracer("test").start_span(name).end()


def dead_endpoint() -> str:
    return f"http://127.0.0.1:{closed_port()}"


def batches_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if ".traces" in path.name or ".logs" in path.name)


def wait_until_empty(folder: Path) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while batches_in(folder):
        assert time.monotonic() < end_s, f"still there: {batches_in(folder)}"
        time.sleep(0.01)


class Drops:
    """What a buffer has dropped."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, int]] = []

    def __call__(self, kind: Kind, reason: str, records: int) -> None:
        self.seen.append((kind.name, reason, records))


@pytest.fixture
def drops() -> Drops:
    return Drops()


@pytest.fixture
def buffer(tmp_path: Path, drops: Drops) -> DiskBuffer:
    return DiskBuffer(str(tmp_path / "buffer"), max_bytes=10_000, drop=drops)


# The folder


def test_a_batch_comes_back_as_it_was(buffer: DiskBuffer) -> None:
    assert buffer.write(Batch(TRACES, b"spans", 2, is_gzip=True))
    assert buffer.write(Batch(LOGS, b"lines", 3))

    for kind, body, records, is_gzip in ((LOGS, b"lines", 3, False), (TRACES, b"spans", 2, True)):
        claim = buffer.claim_oldest(kind)
        assert claim is not None
        batch = claim.batch
        assert (batch.kind, batch.body, batch.records, batch.is_gzip) == (kind, body, records, is_gzip)


def test_the_oldest_comes_first(buffer: DiskBuffer) -> None:
    for number in range(5):
        buffer.write(Batch(TRACES, b"%d" % number, 1))

    found = []
    while (claim := buffer.claim_oldest(TRACES)) is not None:
        found.append(claim.batch.body)
        claim.remove()

    assert found == [b"0", b"1", b"2", b"3", b"4"]


def test_only_the_owner_can_read_it(buffer: DiskBuffer, tmp_path: Path) -> None:
    buffer.write(Batch(TRACES, b"secret", 1))

    folder = tmp_path / "buffer"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    [file] = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_batch_is_claimed_by_one_only(buffer: DiskBuffer, tmp_path: Path, drops: Drops) -> None:
    other = DiskBuffer(str(tmp_path / "buffer"), max_bytes=10_000, drop=drops)
    buffer.write(Batch(TRACES, b"1", 1))

    claim = buffer.claim_oldest(TRACES)

    assert claim is not None
    assert other.claim_oldest(TRACES) is None
    claim.release()
    assert DiskBuffer(str(tmp_path / "buffer"), max_bytes=10_000, drop=drops).claim_oldest(TRACES) is not None


def test_the_oldest_make_room_and_are_counted(buffer: DiskBuffer, tmp_path: Path, drops: Drops) -> None:
    for number in range(10):
        assert buffer.write(Batch(TRACES, b"%d" % number * 3_000, 7))

    left = [file.read_bytes()[-1:] for file in sorted((tmp_path / "buffer").iterdir())]
    assert left == [b"7", b"8", b"9"]
    assert drops.seen == [("traces", DISK_BUFFER_FULL, 7)] * 7


def test_a_batch_larger_than_the_folder_stays_in_memory(buffer: DiskBuffer) -> None:
    assert not buffer.write(Batch(TRACES, b"x" * 20_000, 1))


def test_what_is_not_as_it_was_written_is_set_aside(buffer: DiskBuffer, tmp_path: Path, drops: Drops) -> None:
    folder = tmp_path / "buffer"
    for body in (b"cut off", b"changed", b"empty", b"whole"):
        buffer.write(Batch(TRACES, body, 1))
    cut, changed, empty, _ = sorted(folder.iterdir())
    cut.write_bytes(cut.read_bytes()[:-3])
    changed.write_bytes(changed.read_bytes().replace(b"changed", b"Changed"))
    empty.write_bytes(b"")

    claim = buffer.claim_oldest(TRACES)

    assert claim is not None
    assert claim.batch.body == b"whole"
    assert drops.seen == [("traces", DISK_BUFFER_CORRUPT, 1)] * 3
    assert len([path for path in folder.iterdir() if path.name.endswith(".corrupt")]) == 3


def test_foreign_files_are_neither_sent_nor_touched(buffer: DiskBuffer, tmp_path: Path) -> None:
    buffer.write(Batch(TRACES, b"ours", 1))
    folder = tmp_path / "buffer"
    [ours] = folder.iterdir()
    (folder / "notes.txt").write_text("x" * 50_000)
    (folder / "1-2-3-4-5.traces").write_text("no")
    outside = tmp_path / "outside"
    outside.write_bytes(ours.read_bytes())
    (folder / ours.name.replace("0", "1", 1)).symlink_to(outside)
    os.mkfifo(folder / ours.name.replace("0", "2", 1))

    bodies = []
    while (claim := buffer.claim_oldest(TRACES)) is not None:
        bodies.append(claim.batch.body)
        claim.remove()

    assert bodies == [b"ours"]
    assert len(list(folder.iterdir())) == 4
    assert outside.exists()


def test_a_folder_that_vanishes_is_made_again(buffer: DiskBuffer, tmp_path: Path) -> None:
    buffer.write(Batch(TRACES, b"1", 1))
    shutil.rmtree(tmp_path / "buffer")

    assert buffer.claim_oldest(TRACES) is None
    assert buffer.write(Batch(TRACES, b"2", 1))

    assert len(batches_in(tmp_path / "buffer")) == 1


def test_a_folder_that_cannot_be_written_to_is_one_line(
    tmp_path: Path, drops: Drops, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    buffer = DiskBuffer(str(tmp_path / "file"), max_bytes=10_000, drop=drops)

    for _ in range(5):
        assert not buffer.write(Batch(TRACES, b"1", 1))
        assert buffer.claim_oldest(TRACES) is None

    lines = [record.getMessage() for record in caplog.records if record.name == "clew"]
    assert len(lines) == 1
    assert "cannot be written to" in lines[0]


def test_beginnings_of_files_are_cleaned_up_when_they_are_old(buffer: DiskBuffer, tmp_path: Path) -> None:
    folder = tmp_path / "buffer"
    folder.mkdir()
    (folder / ".clew-1-old").write_bytes(b"half")
    (folder / ".clew-1-new").write_bytes(b"half")
    os.utime(folder / ".clew-1-old", (0, 0))

    buffer.write(Batch(TRACES, b"1", 1))

    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".clew")) == [".clew-1-new"]


# The exporter


def test_an_outage_goes_to_the_disk_and_from_there_to_the_collector(collector: FakeCollector, tmp_path: Path) -> None:
    refusals = [Reply(503)] * 2
    collector.replies = [*refusals]
    clew.configure("orders", endpoint=collector.url, disk_buffer=str(tmp_path), batch_delay_s=0.05)

    make_spans("a", "b")
    logging.getLogger("shop").warning("hello")
    assert not clew.flush()
    assert batches_in(tmp_path)
    collector.wait_for(lambda: collector.spans and collector.logs)

    wait_until_empty(tmp_path)
    assert sorted(span.name for span in collector.spans) == ["a", "b"]
    assert [log.body.string_value for log in collector.logs] == ["hello"]
    assert counters()["spans"].sent == 2
    assert counters()["spans"].set_aside == 2
    assert counters()["spans"].waiting == 0
    assert counters()["spans"].dropped == {}


def test_the_queue_does_not_fill_up_while_the_disk_takes_it(tmp_path: Path) -> None:
    clew.configure(
        "orders", endpoint=dead_endpoint(), disk_buffer=str(tmp_path), max_queue_records=1_000, batch_delay_s=0.05
    )

    for _ in range(10):
        make_spans(*["a"] * 500)
        clew.flush()

    assert counters()["spans"].dropped == {}
    assert counters()["spans"].set_aside == 5_000


def test_a_later_process_sends_what_one_before_left(collector: FakeCollector, tmp_path: Path) -> None:
    clew.configure("orders", endpoint=dead_endpoint(), disk_buffer=str(tmp_path))
    make_spans("left behind")
    clew.shutdown(1)
    assert len(batches_in(tmp_path)) == 1

    clew.configure("orders", endpoint=collector.url, disk_buffer=str(tmp_path))

    collector.wait_for(lambda: collector.spans)
    wait_until_empty(tmp_path)
    assert [span.name for span in collector.spans] == ["left behind"]


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_batch_of_http_can_be_sent_by_grpc(tmp_path: Path, compression: Any) -> None:
    clew.configure("orders", endpoint=dead_endpoint(), disk_buffer=str(tmp_path), compression=compression)
    make_spans(*["a"] * 100)
    clew.shutdown(1)

    with grpc_peer() as peer:
        clew.configure("orders", endpoint=peer.url, protocol="grpc", disk_buffer=str(tmp_path))
        peer.wait_for(lambda: len(peer.spans) == 100)


def test_a_batch_from_the_disk_that_is_too_large_is_split(tmp_path: Path) -> None:
    clew.configure("orders", endpoint=dead_endpoint(), disk_buffer=str(tmp_path))
    make_spans("a", "b", "c", "d")
    clew.shutdown(1)

    with http_peer(lambda _path, body: Answer(413 if len(body) > 900 else 200)) as peer:
        clew.configure("orders", endpoint=peer.url, disk_buffer=str(tmp_path))
        peer.wait_for(lambda: len(peer.spans) == 4)
        wait_until_empty(tmp_path)


def test_what_the_disk_cannot_take_waits_in_memory(
    collector: FakeCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    collector.replies = [Reply(503)]
    clew.configure("orders", endpoint=collector.url, disk_buffer=str(tmp_path / "file"))

    make_spans("a")
    clew.flush()
    collector.wait_for(lambda: collector.spans)

    assert len([record for record in caplog.records if "disk buffer" in record.getMessage()]) == 1


def test_what_a_hung_collector_did_not_take_is_on_disk_at_the_end(tmp_path: Path) -> None:
    with silent_server() as endpoint:
        clew.configure("orders", endpoint=endpoint, disk_buffer=str(tmp_path))
        make_spans(*["in flight"] * 10)
        clew.flush(0.2)
        make_spans(*["queued"] * 2_000)
        exporter = RUNTIME.exporter
        assert exporter is not None
        begin_s = time.monotonic()
        clew.shutdown(1.5)

        assert time.monotonic() - begin_s < 5
    assert exporter.counters()["spans"].dropped == {}
    assert exporter.counters()["spans"].set_aside == 2_010


# Several processes, and their ends

WRITER = textwrap.dedent(
    """
    import sys, time
    import clew
    clew.configure("orders", endpoint=sys.argv[1], disk_buffer=sys.argv[2], batch_delay_s=0.02)
    print("ready", flush=True)
    for number in range(int(sys.argv[3])):
        clew.get_tracer("test").start_span(f"{sys.argv[4]} {number}").end()
        if number % 10 == 9:
            time.sleep(0.002)
    print("done", flush=True)
    time.sleep(float(sys.argv[5]))
    """
)


def start(endpoint: str, folder: Path, spans: int, name: str, *, stay_s: float = 0) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", WRITER, endpoint, str(folder), str(spans), name, str(stay_s)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


@pytest.fixture
def left_by_the_dead(tmp_path: Path) -> Path:
    """A folder after a process was killed in the middle of its work."""
    process = start(dead_endpoint(), tmp_path, 1_000_000, "killed")
    try:
        end_s = time.monotonic() + DEADLINE_S
        while len(batches_in(tmp_path)) < 5:
            assert time.monotonic() < end_s
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    return tmp_path


def test_what_a_killed_process_wrote_is_sent_by_another(collector: FakeCollector, left_by_the_dead: Path) -> None:
    whole = sum(int(name.split("-")[3]) for name in batches_in(left_by_the_dead))

    clew.configure("orders", endpoint=collector.url, disk_buffer=str(left_by_the_dead))

    wait_until_empty(left_by_the_dead)
    assert len(collector.spans) == whole
    assert counters()["spans"].dropped == {}


def test_a_process_killed_while_it_sends_does_not_keep_its_batch(collector: FakeCollector, tmp_path: Path) -> None:
    clew.configure("orders", endpoint=dead_endpoint(), disk_buffer=str(tmp_path))
    make_spans("a")
    clew.shutdown(1)
    with silent_server() as endpoint:
        process = start(endpoint, tmp_path, 0, "claims", stay_s=30)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        buffer = DiskBuffer(str(tmp_path), max_bytes=1 << 20, drop=Drops())
        end_s = time.monotonic() + DEADLINE_S
        while (claim := buffer.claim_oldest(TRACES)) is not None:
            claim.release()
            buffer = DiskBuffer(str(tmp_path), max_bytes=1 << 20, drop=Drops())
            assert time.monotonic() < end_s
        process.kill()
        process.wait()

    clew.configure("orders", endpoint=collector.url, disk_buffer=str(tmp_path))

    collector.wait_for(lambda: collector.spans)


def test_processes_that_share_a_folder_send_each_batch_once(collector: FakeCollector, tmp_path: Path) -> None:
    writers = [start(dead_endpoint(), tmp_path, 500, f"process {number}") for number in range(2)]
    for writer in writers:
        assert writer.wait(20) == 0
    senders = [start(collector.url, tmp_path, 0, "sender", stay_s=20) for _ in range(2)]
    try:
        wait_until_empty(tmp_path)
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()

    names = [span.name for span in collector.spans]
    assert sorted(names) == sorted(f"process {process} {number}" for process in range(2) for number in range(500))


def test_a_process_that_ends_leaves_nothing_behind_but_files(collector: FakeCollector, tmp_path: Path) -> None:
    begin_s = time.monotonic()
    with silent_server() as endpoint:
        process = start(endpoint, tmp_path, 3_000, "ended")
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.stdout.readline() == "done\n"
        begin_s = time.monotonic()
        assert process.wait(20) == 0
        took_s = time.monotonic() - begin_s

    assert took_s < 2.6
    clew.configure("orders", endpoint=collector.url, disk_buffer=str(tmp_path))
    wait_until_empty(tmp_path)
    assert len({span.name for span in collector.spans}) == 3_000


FULL_DISK = """
    import logging, resource, signal, sys
    import clew
    logging.basicConfig(level=logging.INFO)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    clew.configure("orders", endpoint=sys.argv[1], disk_buffer=sys.argv[2], root_handler=False)
    for _ in range(3):
        for number in range(100):
            clew.get_tracer("test").start_span(f"span {number}").end()
        clew.flush()
    from clew.exporting import counters
    print(counters()["spans"].waiting, counters()["spans"].dropped)
"""


def test_a_full_disk_is_one_line_and_leaves_no_halves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), dead_endpoint(), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout == "300 {}\n", done.stderr
    assert done.stderr.count("the disk buffer") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_file_system_keeps_what_was_whole(small_disk: Path) -> None:
    dropped = Drops()
    buffer = DiskBuffer(str(small_disk), max_bytes=1 << 30, drop=dropped)

    written = 0
    while buffer.write(Batch(TRACES, b"x" * 10_000, 1)):
        written += 1

    assert written > 10
    assert len(list(small_disk.iterdir())) == written
    assert dropped.seen == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system needs root, and a kernel that lets it mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_does_not_keep_the_parents_batches(tmp_path: Path, drops: Drops) -> None:
    """A lock lives as long as any process has the file open."""
    parent = DiskBuffer(str(tmp_path), max_bytes=10_000, drop=drops)
    parent.write(Batch(TRACES, b"1", 1))
    claim = parent.claim_oldest(TRACES)
    assert claim is not None
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)

    claim.release()
    again = DiskBuffer(str(tmp_path), max_bytes=10_000, drop=drops).claim_oldest(TRACES)

    os.close(writer)
    os.waitpid(child, 0)
    os.close(reader)
    assert again is not None
