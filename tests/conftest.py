"""Real servers as fixtures, each started when the first test asks for it and shared by all."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from clew.pytest_plugin import everything_sends_to_a_collector
from clew.runtime import RUNTIME
from tests.servers import atheris as atheris_fuzzer
from tests.servers import chromium as chromium_server
from tests.servers import elasticsearch, kafka, minio, moto, node_sdk, rabbitmq, redis, rsyslog, syslog_ng, zipkin
from tests.servers import logger as util_linux_logger
from tests.servers import small_disk as small_disk_server
from tests.servers import telemetrygen as go_telemetrygen
from tests.servers.logrotate import find as find_logrotate
from tests.servers.missing import ServerMissingError
from tests.servers.processes import Server
from tests.servers.syslog_daemon import SyslogDaemon

_IS_MISSING = " is missing: "


def _give_up(name: str, error: ServerMissingError) -> None:
    """Skip on a laptop, fail in CI: a check that nobody sees skipped is no check."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name}{_IS_MISSING}{error}", pytrace=False)
    pytest.skip(f"{name}{_IS_MISSING}{str(error).splitlines()[0]}")


class _Servers:
    """The servers that run, and why those that do not could not be started."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[str, Server | ServerMissingError] = {}

    def get(self, name: str, start: "type[AbstractContextManager[Server]] | object") -> Server:
        if name not in self._started:
            try:
                self._started[name] = self._stack.enter_context(start())  # type: ignore[operator]
            except ServerMissingError as error:
                self._started[name] = error
        found = self._started[name]
        if isinstance(found, ServerMissingError):
            _give_up(name, found)
            raise AssertionError("unreachable")
        return found


@pytest.fixture(scope="session")
def servers() -> Iterator[_Servers]:
    with ExitStack() as stack:
        yield _Servers(stack)


@pytest.fixture
def elasticsearch_url(servers: _Servers) -> str:
    return servers.get("Elasticsearch", elasticsearch.start).url


@pytest.fixture
def zipkin_url(servers: _Servers) -> str:
    return servers.get("Zipkin", zipkin.start).url


@pytest.fixture
def redis_url(servers: _Servers) -> str:
    return servers.get("Redis", redis.start).url


@pytest.fixture
def rabbitmq_url(servers: _Servers) -> str:
    return servers.get("RabbitMQ", rabbitmq.start).url


@pytest.fixture
def kafka_url(servers: _Servers) -> str:
    """`host:port` of a broker that makes topics when they are first used."""
    return servers.get("Kafka", kafka.start).url


@pytest.fixture
def aws_url(servers: _Servers) -> str:
    return servers.get("moto", moto.start).url


@pytest.fixture
def s3_url(servers: _Servers) -> str:
    """A real server of S3's protocol; who asks is `minio.KEY`, with that as the password too."""
    return servers.get("MinIO", minio.start).url


@pytest.fixture(params=[rsyslog, syslog_ng], ids=["rsyslog", "syslog-ng"])
def syslog_daemon(request: pytest.FixtureRequest) -> SyslogDaemon:
    """Each of the two in turn; not started yet."""
    try:
        daemon: SyslogDaemon = request.param.find()
    except ServerMissingError as error:
        _give_up(request.param.__name__.rpartition(".")[2], error)
        raise AssertionError("unreachable") from error
    return daemon


@pytest.fixture
def logrotate() -> str:
    """Path of logrotate."""
    try:
        return find_logrotate()
    except ServerMissingError as error:
        _give_up("logrotate", error)
        raise AssertionError("unreachable") from error


@pytest.fixture
def logger() -> str:
    """Path of util-linux's `logger`."""
    try:
        return util_linux_logger.find()
    except ServerMissingError as error:
        _give_up("logger", error)
        raise AssertionError("unreachable") from error


@pytest.fixture(scope="session")
def atheris() -> str:
    """The Python that has atheris, the fuzzer."""
    try:
        return atheris_fuzzer.find()
    except ServerMissingError as error:
        _give_up("atheris", error)
        raise AssertionError("unreachable") from error


@pytest.fixture
def telemetrygen() -> Path:
    """The OpenTelemetry Collector's generator of load, in Go."""
    try:
        return go_telemetrygen.find()
    except ServerMissingError as error:
        _give_up("telemetrygen", error)
        raise AssertionError("unreachable") from error


@pytest.fixture
def javascript_sdk() -> node_sdk.NodeSdk:
    """OpenTelemetry's JavaScript SDK."""
    try:
        return node_sdk.find()
    except ServerMissingError as error:
        _give_up("OpenTelemetry's JavaScript SDK", error)
        raise AssertionError("unreachable") from error


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty disk of 160 MiB."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(small_disk_server.small_disk(tmp_path, size_bytes=160 << 20))
        except ServerMissingError as error:
            _give_up("a small disk", error)


@pytest.fixture(scope="module")
def callers_have_no_clew() -> Iterator[None]:
    """For tests that stand outside: others of this run switch clew on, which then rewrites what is sent from here."""
    before, RUNTIME.enabled = RUNTIME.enabled, False
    yield
    RUNTIME.enabled = before


# Narrower than the plugin's own: most tests here have a collector of their own for the processes that they start.
clew_collector = pytest.fixture(everything_sends_to_a_collector, scope="module")


# One a module: while it is open, Playwright's event loop counts as running, and `asyncio.run` fails.
@pytest.fixture(scope="module")
def _browser() -> Iterator[Browser | ServerMissingError]:
    try:
        executable = chromium_server.find()
    except ServerMissingError as error:
        yield error
        return
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=list(chromium_server.FLAGS))
        except Error as error:
            yield ServerMissingError(f"{executable} does not start: {error}")
            return
        yield browser
        browser.close()


@pytest.fixture
def browser(_browser: Browser | ServerMissingError) -> Browser:
    """A headless Chromium."""
    if isinstance(_browser, ServerMissingError):
        _give_up("Chromium", _browser)
        raise AssertionError("unreachable")
    return _browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own: no cookies, no storage, no history of another test."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context.new_page()
    context.close()


def pytest_configure() -> None:
    """End on SIGTERM as on Ctrl-C: with every fixture's clean-up."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say last what was not tested for lack of a server."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ()) if report.longrepr]
    for reason, count in Counter(reason for reason in reasons if _IS_MISSING in reason).items():
        name, _, why = reason.removeprefix("Skipped: ").partition(_IS_MISSING)
        terminalreporter.write_line(f"{count} tests without {name}: {why}", yellow=True)


_exit_status = 0


def pytest_sessionfinish(exitstatus: int) -> None:
    """Remember how the tests ended."""
    global _exit_status
    _exit_status = exitstatus


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Leave without taking the interpreter apart: pytest's closing line stays the last one.

    DuckDB's binding writes a page about each object that outlives it, and Hypothesis keeps the tests' modules alive.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_status)
