import io
import json
import logging
import logging.config
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, value_of

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop.orders")
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.setLevel(logging.NOTSET)
    logger.handlers.clear()
    logger.filters.clear()
    logger.disabled = False
    logger.propagate = True


def only_log(collector: FakeCollector) -> Any:
    assert clew.flush()
    (log,) = collector.logs
    return log


def test_a_line_has_the_ids_of_its_request(exported: FakeCollector, log: logging.Logger) -> None:
    with clew.get_tracer("t").start_as_current_span("work"):
        log.info("order %d accepted", 7)

    record = only_log(exported)
    (span,) = exported.spans
    assert record.body.string_value == "order 7 accepted"
    assert (record.trace_id, record.span_id) == (span.trace_id, span.span_id)
    assert attributes_of(record.attributes)["correlation.id"] == span.trace_id.hex()
    assert list(exported.log_scopes) == ["shop.orders"]


def test_formatters_see_the_ids_and_nothing_outside_of_a_request(exported: FakeCollector, log: logging.Logger) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(trace_id)s|%(span_id)s|%(correlation_id)s|%(message)s"))
    log.addHandler(handler)

    log.info("outside")
    with clew.get_tracer("t").start_as_current_span("work"):
        log.info("inside")
        trace_id = clew.trace_id()

    outside, inside = stream.getvalue().splitlines()
    assert outside == "|||outside"
    assert inside.split("|")[0] == inside.split("|")[2] == trace_id


@pytest.mark.parametrize(
    ("level", "number"),
    [(5, 1), (10, 5), (15, 8), (20, 9), (21, 10), (30, 13), (40, 17), (50, 21), (90, 24)],
)
def test_levels_become_severities(exported: FakeCollector, log: logging.Logger, level: int, number: int) -> None:
    log.setLevel(1)

    log.log(level, "x")

    record = only_log(exported)
    assert record.severity_number == number
    assert record.severity_text == logging.getLevelName(level)


def test_levels_and_filters_and_disabled_loggers_are_honoured(exported: FakeCollector, log: logging.Logger) -> None:
    log.setLevel(logging.ERROR)
    log.warning("below the level")
    log.addFilter(lambda record: False)
    log.error("filtered")
    log.filters.clear()
    log.disabled = True
    log.error("disabled")

    clew.flush()
    assert exported.logs == []


def test_lines_that_do_not_propagate_are_exported(exported: FakeCollector, log: logging.Logger) -> None:
    log.propagate = False
    log.addHandler(logging.NullHandler())

    log.info("alone")

    assert only_log(exported).body.string_value == "alone"


def test_dict_config_does_not_remove_the_bridge(exported: FakeCollector, log: logging.Logger) -> None:
    before = logging.getLogger().handlers[:]

    logging.config.dictConfig(
        {"version": 1, "disable_existing_loggers": False, "root": {"level": "INFO", "handlers": []}}
    )
    log.info("still here")

    assert only_log(exported).body.string_value == "still here"
    logging.getLogger().handlers[:] = before


def test_no_root_handler_is_added(collector: FakeCollector) -> None:
    before = logging.getLogger().handlers[:]

    clew.configure(service="orders", endpoint=collector.url)

    assert logging.getLogger().handlers == before


def test_many_handlers_are_one_record(exported: FakeCollector, log: logging.Logger) -> None:
    for _ in range(3):
        log.addHandler(logging.NullHandler())

    log.info("once")
    logging.getLogger("other").handle(logging.makeLogRecord({"name": "other", "msg": "made by hand", "levelno": 20}))

    clew.flush()
    assert [record.body.string_value for record in exported.logs] == ["once", "made by hand"]


def test_a_record_that_is_handled_again_is_exported_once(exported: FakeCollector, log: logging.Logger) -> None:
    class PassOn(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger("elsewhere").handle(record)

    log.addHandler(PassOn())

    log.info("once")

    only_log(exported)


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_extra_becomes_typed_attributes(exported: FakeCollector, log: logging.Logger) -> None:
    items = [1, "two", {"three": 3.0}]

    log.info(
        "x",
        extra={"n": 1, "ok": True, "ratio": 0.5, "raw": b"\x00", "items": items, "none": None, "who": Unprintable()},
    )
    items.append("later")

    attributes = attributes_of(only_log(exported).attributes)
    assert attributes["n"] == 1
    assert attributes["ok"] is True
    assert attributes["ratio"] == 0.5
    assert attributes["raw"] == b"\x00"
    assert attributes["items"] == [1, "two", {"three": 3.0}]
    assert attributes["none"] is None
    assert attributes["who"] == "<unreadable Unprintable>"


def test_it_says_where_the_line_was_written(exported: FakeCollector, log: logging.Logger) -> None:
    log.info("here")

    attributes = attributes_of(only_log(exported).attributes)
    assert attributes["code.file.path"] == __file__
    assert attributes["code.function.name"] == "test_it_says_where_the_line_was_written"
    assert attributes["code.line.number"] > 0


def test_an_exception_becomes_attributes(exported: FakeCollector, log: logging.Logger) -> None:
    try:
        raise KeyError("sku")
    except KeyError:
        log.exception("failed")

    attributes = attributes_of(only_log(exported).attributes)
    assert attributes["exception.type"] == "KeyError"
    assert attributes["exception.message"] == "'sku'"
    assert 'raise KeyError("sku")' in attributes["exception.stacktrace"]


def test_arguments_that_do_not_fit_do_not_break_the_caller(exported: FakeCollector, log: logging.Logger) -> None:
    log.handlers = [logging.NullHandler()]
    log.propagate = False

    log.info("%d items", "many")

    assert only_log(exported).body.string_value == "%d items"


def test_a_message_that_is_no_text_is_kept_as_it_is(exported: FakeCollector, log: logging.Logger) -> None:
    log.info({"event": "paid", "amount": 3})

    assert value_of(only_log(exported).body) == {"event": "paid", "amount": 3}


def test_cyclic_and_huge_values_are_cut(exported: FakeCollector, log: logging.Logger) -> None:
    cycle: list[Any] = []
    cycle.append(cycle)

    log.info("x" * 1_000_000, extra={"cycle": cycle, "many": list(range(1_000_000))})

    record = only_log(exported)
    assert len(record.body.string_value) == 65_536
    assert len(attributes_of(record.attributes)["many"]) == 1_000


def test_clews_own_lines_are_not_exported(exported: FakeCollector) -> None:
    logging.getLogger("clew").error("about exporting")
    logging.getLogger("clew.exporting").error("about exporting")
    logging.getLogger("clewless").error("somebody else")

    assert only_log(exported).body.string_value == "somebody else"


def test_a_root_handler_renders_lines_like_structlogs(
    collector: FakeCollector, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        clew.configure(service="orders", endpoint=collector.url, root_handler=True, log_format="json")

    with clew.get_tracer("t").start_as_current_span("work"):
        logging.getLogger("shop.lines").info("hello", extra={"n": 1})
        trace_id = clew.trace_id()

    (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert line["event"] == "hello"
    assert line["level"] == "info"
    assert line["logger"] == "shop.lines"
    assert line["trace_id"] == line["correlation_id"] == trace_id
    assert line["n"] == 1


def test_an_inner_failure_of_ours_never_reaches_the_caller(
    exported: FakeCollector, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["clew.logs.stdlib_bridge"], "ids_for", lambda error: 1 / 0)
    stream = io.StringIO()
    log.addHandler(logging.StreamHandler(stream))

    log.info("goes on")

    assert stream.getvalue() == "goes on\n"
