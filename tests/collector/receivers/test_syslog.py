"""Lines sent over real sockets arrive as OTLP payloads, as they were sent, or are counted."""

import asyncio
import logging
import logging.handlers
import socket
import ssl
import sys
from collections import Counter as Tally
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from clew_collector.errors import ClewError, SpoolFull, StoreUnavailable
from clew_collector.payload import Payload
from clew_collector.receivers.gathering import Gathering
from clew_collector.receivers.syslog import HALF_TIMEOUT_S, MAX_LINE_BYTES, SyslogReceiver
from clew_collector.receivers.udp_buffer import grow_receive_buffer, kernel_drops
from clew_collector.spool import Counter
from clew_collector.wire.syslog.otlp import LogsRequest, ReceivedLine
from clew_server.process import run_async

DEADLINE_S = 30.0


class Intake:
    """A receiver on free ports with what it handed on and counted; refuses with `error` while there is one."""

    def __init__(
        self,
        error: ClewError | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        half_timeout_s: float = HALF_TIMEOUT_S,
    ) -> None:
        self.error = error
        self.refused = 0
        self.payloads: list[Payload] = []
        self.counts: Tally[str] = Tally()
        self.receiver = SyslogReceiver(self._deliver, count=self._count, half_timeout_s=half_timeout_s)
        self.address = ("127.0.0.1", 0)
        self.tls_address = ("127.0.0.1", 0)
        self._tls = tls

    async def _deliver(self, payload: Payload) -> None:
        if self.error is not None:
            self.refused += 1
            raise self.error
        self.payloads.append(payload)

    def _count(self, counter: Counter, count: int) -> None:
        self.counts[f"{counter[0]}: {counter[2]}"] += count

    @property
    def logs(self) -> list[LogRecord]:
        requests = [ExportLogsServiceRequest.FromString(payload.body) for payload in self.payloads]
        return [log for each in requests for group in each.resource_logs for log in group.scope_logs[0].log_records]

    @property
    def bodies(self) -> list[str]:
        return [log.body.string_value for log in self.logs]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with (
            closing(socket.create_server(self.address)) as connections,
            closing(socket.create_server(self.tls_address)) as encrypted,
            closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as datagrams,
        ):
            self.address, self.tls_address = connections.getsockname(), encrypted.getsockname()
            datagrams.bind(self.address)
            async with self.receiver.listening(datagrams, connections, encrypted, tls=self._tls):
                yield

    def take(self, send: Callable[[], Awaitable[None]], *, until: Callable[[], bool]) -> None:
        """Run while `send` sends and until the condition holds."""

        async def take() -> None:
            async with self.running():
                await send()
                await eventually(until)

        run_async(take())

    def send_datagrams(self, *datagrams: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for datagram in datagrams:
                sender.sendto(datagram, self.address)

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=DEADLINE_S)

    async def command(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(*arguments)
        assert await process.wait() == 0


@pytest.fixture
def intake() -> Intake:
    return Intake()


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110  # what is waited for is another process's doing
            await asyncio.sleep(0.01)


def test_each_datagram_is_a_record(intake: Intake) -> None:
    async def send() -> None:
        intake.send_datagrams(b"<14>1 - h a - - - one", b"<14>two\nlines\n", b"three")

    intake.take(send, until=lambda: len(intake.logs) == 3)

    assert sorted(intake.bodies) == ["one", "three", "two\nlines"]
    assert intake.counts == {}


def test_lines_and_counted_frames_come_over_connections_side_by_side(intake: Intake) -> None:
    async def send() -> None:
        with intake.connect() as lines, intake.connect() as counted:
            lines.sendall(b"<14>1 - h a - - - one\n<14>1 - h a -")
            counted.sendall(b"29 <14>1 - h a - - - thr")
            await eventually(lambda: len(intake.logs) == 1)
            lines.sendall(b" - - two\n")
            counted.sendall(b"ee\nlines8 <14>four")

    intake.take(send, until=lambda: len(intake.logs) == 4)

    assert sorted(intake.bodies) == ["four", "one", "three\nlines", "two"]


def test_equal_lines_are_all_kept(intake: Intake) -> None:
    async def send() -> None:
        for number in range(1, 4):
            intake.send_datagrams(b"<14>same", b"<14>same")
            await eventually(lambda number=number: len(intake.logs) == 2 * number)  # type: ignore[misc]

    intake.take(send, until=lambda: len(intake.logs) == 6)

    assert intake.bodies == ["same"] * 6
    assert len({payload.digest for payload in intake.payloads}) == len(intake.payloads) == 3


def test_lines_are_gathered(intake: Intake) -> None:
    async def send() -> None:
        with intake.connect() as connection:
            connection.sendall(b"".join(b"<14>%d\n" % number for number in range(5_000)))

    intake.take(send, until=lambda: len(intake.logs) == 5_000)

    assert intake.bodies == [str(number) for number in range(5_000)]
    assert len(intake.payloads) <= 10
    assert [payload.records for payload in intake.payloads] == [
        len(ExportLogsServiceRequest.FromString(payload.body).resource_logs[0].scope_logs[0].log_records)
        for payload in intake.payloads
    ]


def test_what_is_odd_harms_nobody(intake: Intake) -> None:
    async def send() -> None:
        intake.send_datagrams(b"", b"\0\n", b"\xff\xfe", b"<999>huge", b"<14>" + b"x" * 60_000)
        with intake.connect() as connection:
            connection.sendall(b"\n\n<14>" + b"y" * (MAX_LINE_BYTES + 10) + b"\n<14>next\n<14>last")

    intake.take(send, until=lambda: len(intake.logs) == 6)

    assert sorted(len(body) for body in intake.bodies) == [4, 4, 8, 9, 60_000, MAX_LINE_BYTES - 4]
    assert intake.counts == {
        "refused: empty datagram": 2,
        "dropped: rest of a line over the limit": 1,
    }


def test_half_a_frame_is_counted_and_the_frames_before_it_are_kept(intake: Intake) -> None:
    async def send() -> None:
        with intake.connect() as connection:
            connection.sendall(b"6 <14>ab30 <14>half of it")

    intake.take(send, until=lambda: len(intake.logs) == 1 and bool(intake.counts))

    assert intake.bodies == ["ab"]
    assert intake.counts == {"dropped: half a frame at the end of a connection": 1}


def test_a_connection_that_leaves_a_message_half_is_closed_and_what_came_is_kept() -> None:
    intake = Intake(half_timeout_s=0)

    async def send() -> None:
        with intake.connect() as halting, intake.connect() as idle:
            idle.sendall(b"<14>idle\n")
            halting.sendall(b"<14>whole\n<14>half")
            assert await asyncio.to_thread(halting.recv, 1) == b""
            idle.sendall(b"<14>still there\n")
            await eventually(lambda: len(intake.logs) == 4)

    intake.take(send, until=lambda: True)

    assert sorted(intake.bodies) == ["half", "idle", "still there", "whole"]
    assert intake.counts == {"refused: message not whole in time": 1}


def test_a_tls_client_is_turned_away(intake: Intake) -> None:
    async def send() -> None:
        with intake.connect() as connection:
            connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            assert await asyncio.to_thread(connection.recv, 1) == b""

    intake.take(send, until=lambda: bool(intake.counts))

    assert intake.logs == []
    assert intake.counts == {"refused: TLS, which this port does not speak": 1}


@pytest.mark.parametrize(
    ("error", "reason"), [(SpoolFull("full"), "spool full"), (StoreUnavailable("disk full"), "disk")]
)
def test_datagrams_that_cannot_be_kept_are_dropped_and_counted(error: ClewError, reason: str) -> None:
    intake = Intake(error)

    async def send() -> None:
        intake.send_datagrams(b"<14>one", b"<14>two")
        await eventually(lambda: sum(intake.counts.values()) == 2)
        intake.error = None
        intake.send_datagrams(b"<14>three")

    intake.take(send, until=lambda: bool(intake.logs))

    assert intake.bodies == ["three"]
    assert intake.counts == {f"dropped: {reason}": 2}


def test_connections_wait_while_nothing_can_be_kept_and_lose_nothing() -> None:
    intake = Intake(SpoolFull("full"))
    line = b"<14>" + b"x" * 9_995 + b"\n"
    lines = 10_000  # 100 MB: more than the receiver and the kernel hold

    def send_all() -> None:
        with intake.connect() as connection:
            for _ in range(lines):
                connection.sendall(line)

    async def send() -> None:
        sending = asyncio.create_task(asyncio.to_thread(send_all))
        await eventually(lambda: intake.receiver.is_crowded)
        _, waiting = await asyncio.wait([sending], timeout=0.5)
        assert waiting
        assert intake.refused > 0
        intake.error = None
        await sending

    intake.take(send, until=lambda: sum(payload.records for payload in intake.payloads) == lines)

    assert intake.counts == {}


def test_what_came_before_the_end_is_delivered(intake: Intake) -> None:
    async def send() -> None:
        intake.send_datagrams(*(b"<14>%d" % number for number in range(300)))

    intake.take(send, until=lambda: True)

    assert sorted(map(int, intake.bodies)) == list(range(300))


def test_what_cannot_be_kept_at_the_end_is_counted() -> None:
    intake = Intake(SpoolFull("full"))

    async def send() -> None:
        with intake.connect() as connection:
            connection.sendall(b"<14>one\n")

    intake.take(send, until=lambda: intake.refused > 0)

    assert intake.counts == {"dropped: spool full": 1}


def test_more_than_may_wait_is_dropped_and_counted() -> None:
    dropped: Tally[str] = Tally()

    async def add() -> None:
        async def deliver(_: Payload) -> None:
            await asyncio.sleep(0)

        gathering = Gathering(
            deliver,
            new_request=LogsRequest,
            drop=lambda reason, count: dropped.update({reason: count}),
            when_full="drop",
            max_bytes=10_000,
        )
        async with gathering:
            for _ in range(100):
                gathering.add(ReceivedLine(b"x" * 700, 1))

    run_async(add())

    assert dropped == {"too many lines wait": 90}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_kernels_drops_are_known() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams, socket.socket(type=socket.SOCK_DGRAM) as sender:
        datagrams.bind(("127.0.0.1", 0))
        grow_receive_buffer(datagrams, 4096)
        for _ in range(100):
            sender.sendto(b"x" * 1000, datagrams.getsockname())
        datagrams.setblocking(False)
        held = 0
        try:
            while datagrams.recv(2000):
                held += 1
        except BlockingIOError:
            pass

        assert 0 < held < 100
        assert kernel_drops(datagrams) == 100 - held


@pytest.mark.parametrize("transport", [socket.SOCK_DGRAM, socket.SOCK_STREAM], ids=["udp", "tcp"])
def test_pythons_handler_is_understood(intake: Intake, transport: socket.SocketKind) -> None:
    async def send() -> None:
        handler = logging.handlers.SysLogHandler(intake.address, socktype=transport)
        handler.ident = "orders[77]: "
        logger = logging.Logger("orders")
        logger.addHandler(handler)
        logger.warning("stock is low")
        logger.error("no stock\nat all")
        handler.close()

    intake.take(send, until=lambda: len(intake.logs) == 2)

    assert [(log.severity_number, log.body.string_value) for log in intake.logs] == [
        (13, "stock is low"),
        (17, "no stock\nat all"),
    ]


FORMS = {
    "udp rfc3164": ("--udp", "--rfc3164"),
    "udp rfc5424": ("--udp", "--rfc5424"),
    "tcp rfc3164": ("--tcp", "--rfc3164"),
    "tcp rfc5424": ("--tcp", "--rfc5424"),
    "tcp rfc3164 counted": ("--tcp", "--rfc3164", "--octet-count"),
    "tcp rfc5424 counted": ("--tcp", "--rfc5424", "--octet-count"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_util_linuxs_logger_is_understood(intake: Intake, logger: str, form: tuple[str, ...]) -> None:
    async def send() -> None:
        server, port = intake.address
        await intake.command(
            *(logger, "--server", server, "--port", str(port), *form),
            *("--priority", "local3.err", "--tag", "orders", "--id=77", "stock is low"),
        )

    intake.take(send, until=lambda: bool(intake.logs))

    [request] = [ExportLogsServiceRequest.FromString(payload.body) for payload in intake.payloads]
    [log] = intake.logs
    resource = {each.key: each.value.string_value for each in request.resource_logs[0].resource.attributes}
    assert resource["service.name"] == "orders"
    assert resource["host.name"].partition(".")[0] == socket.gethostname().partition(".")[0]
    assert (log.severity_number, log.body.string_value) == (17, "stock is low")
    assert {"process.pid": 77, "syslog.facility": 19}.items() <= {
        each.key: each.value.int_value for each in log.attributes
    }.items()
    assert abs(log.time_unix_nano - log.observed_time_unix_nano) < 60 * 10**9
