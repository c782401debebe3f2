import inspect
import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from loguru import logger

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of


class InterceptHandler(logging.Handler):
    """As loguru's documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        level: str | int
        try:
            level = logger.level(record.levelname).name
        except ValueError:
            level = record.levelno
        frame, depth = inspect.currentframe(), 0
        while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
            frame = frame.f_back
            depth += 1
        logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())


class PropagateHandler(logging.Handler):
    """As loguru's documentation has it."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@pytest.fixture(autouse=True)
def _clean_loguru() -> Iterator[None]:
    logger.remove()
    yield
    logger.configure(handlers=[{"sink": sys.stderr}], extra={}, patcher=lambda record: None)


@pytest.fixture
def sink() -> list[Any]:
    """The records that a sink of the service gets."""
    records: list[Any] = []
    logger.add(lambda message: records.append(message.record), level="DEBUG")
    return records


@pytest.fixture
def std() -> Iterator[logging.Logger]:
    log = logging.getLogger("shop.std")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    yield log
    log.handlers.clear()
    log.setLevel(logging.NOTSET)
    log.propagate = True


def bodies(collector: FakeCollector) -> list[str]:
    assert clew.flush()
    return [log.body.string_value for log in collector.logs]


def only_log(collector: FakeCollector) -> Any:
    assert clew.flush()
    (log,) = collector.logs
    return log


def test_a_line_has_the_ids_for_sinks_and_for_the_collector(exported: FakeCollector, sink: list[Any]) -> None:
    with clew.request("job", correlation_id="req-1"):
        logger.bind(cart=3).info("order {} accepted", 7, sku="a-1")
        trace_id = clew.trace_id()

    (record,) = sink
    log = only_log(exported)
    assert record["extra"]["trace_id"] == log.trace_id.hex() == trace_id
    assert record["extra"]["correlation_id"] == "req-1"
    assert record["function"] == "test_a_line_has_the_ids_for_sinks_and_for_the_collector"
    assert record["name"] == __name__
    assert log.body.string_value == "order 7 accepted"
    assert list(exported.log_scopes) == [__name__]
    attributes = attributes_of(log.attributes)
    assert (attributes["cart"], attributes["sku"], attributes["correlation.id"]) == (3, "a-1", "req-1")
    assert attributes["code.file.path"] == __file__
    assert attributes["code.line.number"] == record["line"]


def test_a_format_that_names_the_ids_works_outside_of_a_request(
    exported: FakeCollector, capsys: pytest.CaptureFixture[str]
) -> None:
    logger.add(sys.stderr, format="{extra[trace_id]}|{extra[correlation_id]}|{message}", catch=False)

    logger.info("x")

    assert capsys.readouterr().err == "||x\n"


@pytest.mark.parametrize("sinks", [0, 1, 3])
def test_a_line_is_one_record_however_many_sinks_there_are(exported: FakeCollector, sinks: int) -> None:
    for _ in range(sinks):
        logger.add(lambda message: None)

    logger.info("once")

    assert bodies(exported) == ["once"]


def test_without_a_sink_the_level_of_the_settings_counts(exported: FakeCollector) -> None:
    logger.debug("too quiet")
    logger.opt(lazy=True).info("{}", lambda: "lazy")

    assert bodies(exported) == ["lazy"]


def test_levels_and_disabled_modules_are_honoured(exported: FakeCollector) -> None:
    logger.add(lambda message: None, level="WARNING")

    logger.info("below the level")
    logger.opt(lazy=True).info("{}", lambda: 1 / 0)
    logger.disable(__name__)
    logger.error("disabled")
    logger.enable(__name__)

    assert bodies(exported) == []


@pytest.mark.parametrize(
    ("level", "number"), [("TRACE", 1), ("DEBUG", 5), ("SUCCESS", 12), ("WARNING", 13), ("CRITICAL", 21), (33, 16)]
)
def test_levels_become_severities(exported: FakeCollector, level: str | int, number: int) -> None:
    logger.add(lambda message: None, level=0)

    logger.log(level, "x")

    assert only_log(exported).severity_number == number


def test_a_level_of_the_service_is_known_by_its_name(exported: FakeCollector, sink: list[Any]) -> None:
    logger.level("AUDIT", no=35)

    logger.log("AUDIT", "x")

    log = only_log(exported)
    assert (log.severity_number, log.severity_text) == (16, "AUDIT")


def test_patchers_of_the_service_stay_and_come_first(exported: FakeCollector, sink: list[Any]) -> None:
    logger.configure(patcher=lambda record: record["extra"].update(tenant="acme"))

    with logger.contextualize(cart=3):
        logger.patch(lambda record: record.__setitem__("message", "patched")).info("x")

    assert sink[0]["extra"]["tenant"] == "acme"
    attributes = attributes_of(only_log(exported).attributes)
    assert (attributes["tenant"], attributes["cart"]) == ("acme", 3)
    assert bodies(exported) == ["patched"]


def test_an_exception_becomes_attributes(exported: FakeCollector, sink: list[Any]) -> None:
    @logger.catch
    def fail() -> None:
        raise KeyError("sku")

    fail()

    attributes = attributes_of(only_log(exported).attributes)
    assert attributes["exception.type"] == "KeyError"
    assert 'raise KeyError("sku")' in attributes["exception.stacktrace"]
    assert attributes["code.function.name"] == "test_an_exception_becomes_attributes"


def test_a_mistake_of_the_caller_is_the_callers(exported: FakeCollector, sink: list[Any]) -> None:
    with pytest.raises(IndexError):
        logger.info("{} {}", 1)
    with pytest.raises(ValueError, match="does not exist"):
        logger.log("NONE", "x")


def test_a_queued_sink_gets_the_ids_of_the_request(exported: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
    logger.add(lambda message: print(message, end="", file=sys.stderr), enqueue=True, format="{extra[correlation_id]}")

    with clew.request("job", correlation_id="req-1"):
        logger.info("x")
    logger.complete()

    assert capsys.readouterr().err == "req-1\n"
    assert bodies(exported) == ["x"]


def test_lines_of_logging_that_go_on_to_loguru_are_one_record(
    exported: FakeCollector, sink: list[Any], std: logging.Logger
) -> None:
    std.addHandler(InterceptHandler())

    std.warning("from %s", "logging")
    logger.info("from loguru")

    assert bodies(exported) == ["from logging", "from loguru"]
    assert [record["function"] for record in sink] == [
        "test_lines_of_logging_that_go_on_to_loguru_are_one_record",
        "test_lines_of_logging_that_go_on_to_loguru_are_one_record",
    ]


@pytest.mark.parametrize("enqueue", [False, True])
def test_lines_of_loguru_that_go_on_to_logging_are_one_record(
    exported: FakeCollector, std: logging.Logger, enqueue: bool
) -> None:
    logger.add(PropagateHandler(), format="{message}", enqueue=enqueue)

    logger.info("from loguru")
    logger.complete()
    std.info("from logging")

    assert bodies(exported) == ["from loguru", "from logging"]


def test_a_function_that_logs_loguru_lines_again_makes_no_second_record(
    exported: FakeCollector, std: logging.Logger
) -> None:
    logger.add(lambda message: std.log(message.record["level"].no, "[loguru] " + message.record["message"]))

    logger.info("once")

    assert bodies(exported) == ["once"]


def test_what_a_handler_says_of_its_own_is_a_line_of_its_own(
    exported: FakeCollector, sink: list[Any], std: logging.Logger
) -> None:
    class Fails(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.error("cannot deliver: {}", record.getMessage())

    std.addHandler(Fails())

    std.info("a line")

    assert bodies(exported) == ["a line", "cannot deliver: a line"]


def test_baggage_is_copied_when_asked(collector: FakeCollector, sink: list[Any]) -> None:
    clew.configure(service="orders", endpoint=collector.url, baggage_fields=["tenant"], log_format="json")

    with clew.request("job", headers={"baggage": "tenant=acme,other=x"}):
        logger.info("x")
    logger.info("y")

    assert [record["extra"]["tenant"] for record in sink] == ["acme", ""]
    assert clew.flush()
    assert [attributes_of(log.attributes).get("tenant") for log in collector.logs] == ["acme", None]


def test_switched_off_it_leaves_lines_alone(exported: FakeCollector, sink: list[Any]) -> None:
    clew.configure(service="orders", enabled=False)

    logger.info("x")

    assert sink[0]["extra"] == {}


class Stderr(io.StringIO):
    name = "<stderr>"


class TestSink:
    @pytest.fixture(autouse=True)
    def stderr(self) -> Iterator[Stderr]:
        """The stream of loguru's first sink, as it is when loguru is imported."""
        stream = Stderr()
        core = logger._core  # type: ignore[attr-defined]
        added = logger.add(stream)
        core.handlers = {0: core.handlers[added]}
        yield stream
        logger.remove()

    def test_the_first_sink_is_left_alone_unless_asked(self, exported: FakeCollector, stderr: Stderr) -> None:
        logger.info("plain")

        assert " | INFO " in stderr.getvalue()

    def test_it_writes_like_structlog_when_asked_and_only_then(
        self, collector: FakeCollector, stderr: Stderr, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Here, since pytest sets it anew between a fixture and its test.
        monkeypatch.setattr(sys, "stderr", stderr)
        for _ in range(2):
            clew.configure(service="orders", endpoint=collector.url, root_handler=True, log_format="json")
        with clew.request("job", correlation_id="req-1"):
            logger.success("hello", password="hunter2")
        logger.debug("below the level")
        (line,) = [json.loads(line) for line in stderr.getvalue().splitlines()]
        clew.configure(service="orders", endpoint=collector.url, log_format="json")
        logger.info("plain again")

        assert (line["event"], line["level"], line["correlation_id"]) == ("hello", "success", "req-1")
        assert line["password"] == "REDACTED"
        assert " | INFO " in stderr.getvalue()

    def test_the_service_may_still_remove_it_by_its_number(self, collector: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=collector.url, root_handler=True, log_format="json")

        logger.remove(0)

    def test_a_line_that_both_handlers_see_is_written_once(
        self, collector: FakeCollector, stderr: Stderr, std: logging.Logger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stderr", stderr)
        clew.configure(service="orders", endpoint=collector.url, root_handler=True, log_format="json")
        std.propagate = True
        std.addHandler(InterceptHandler())

        std.info("once")

        assert stderr.getvalue().count("once") == 1
        assert bodies(collector) == ["once"]
