import io
import json
import logging
import sys
from typing import Any

import pytest
import structlog

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of


def only_log(collector: FakeCollector) -> Any:
    assert clew.flush()
    (log,) = collector.logs
    return log


def stdlib_logger(stream: io.StringIO, name: str = "shop.structured") -> logging.Logger:
    logger = logging.getLogger(name)
    logger.handlers = [logging.StreamHandler(stream)]
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.filters.clear()
    return logger


class TestOwnChain:
    def test_a_line_is_shown_and_exported_with_the_ids(
        self, exported: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        log = structlog.get_logger("shop.orders")

        with clew.get_tracer("t").start_as_current_span("work"):
            log.info("order accepted", order_id=7)

        shown = json.loads(capsys.readouterr().err)
        record = only_log(exported)
        (span,) = exported.spans
        assert shown["event"] == "order accepted"
        assert shown["order_id"] == 7
        assert shown["level"] == "info"
        assert shown["trace_id"] == shown["correlation_id"] == span.trace_id.hex()
        assert shown["span_id"] == span.span_id.hex()
        assert shown["timestamp"].endswith("Z")
        assert record.body.string_value == "order accepted"
        assert (record.severity_number, record.severity_text) == (9, "INFO")
        assert attributes_of(record.attributes) == {"order_id": 7, "correlation.id": span.trace_id.hex()}
        assert list(exported.log_scopes) == ["shop.orders"]

    def test_context_variables_are_merged(self, exported: FakeCollector) -> None:
        with structlog.contextvars.bound_contextvars(tenant="acme"):
            structlog.get_logger().info("x")

        assert attributes_of(only_log(exported).attributes) == {"tenant": "acme"}

    def test_the_level_is_honoured(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        clew.configure(service="orders", endpoint=collector.url, log_level="warning")

        structlog.get_logger().info("too quiet")
        structlog.get_logger().warning("loud enough")

        assert only_log(collector).body.string_value == "loud enough"
        assert "too quiet" not in capsys.readouterr().err

    def test_an_exception_becomes_attributes(self, exported: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        try:
            raise KeyError("sku")
        except KeyError:
            structlog.get_logger().exception("failed")

        attributes = attributes_of(only_log(exported).attributes)
        assert attributes["exception.type"] == "KeyError"
        assert attributes["exception.message"] == "'sku'"
        assert "raise KeyError" in attributes["exception.stacktrace"]
        assert "raise KeyError" in json.loads(capsys.readouterr().err)["exception.stacktrace"]

    def test_values_are_frozen_when_the_line_is_written(self, exported: FakeCollector) -> None:
        items = ["a"]

        structlog.get_logger().info("x", items=items)
        items.append("b")

        assert attributes_of(only_log(exported).attributes) == {"items": ["a"]}

    @pytest.mark.parametrize("log_format", ["json", "console"])
    def test_values_that_cannot_be_rendered_do_not_break_the_caller(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str], log_format: Any
    ) -> None:
        class Unprintable:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        cycle: dict[str, Any] = {}
        cycle["self"] = cycle
        clew.configure(service="orders", endpoint=collector.url, log_format=log_format)

        structlog.get_logger().info("still logged", who=Unprintable(), cycle=cycle, big=10**5000)

        assert only_log(collector).body.string_value == "still logged"
        assert "still logged" in capsys.readouterr().err

    def test_a_stream_that_is_gone_does_not_break_the_caller(
        self, exported: FakeCollector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = io.StringIO()
        closed.close()
        monkeypatch.setattr(sys, "stderr", closed)

        structlog.get_logger().info("x")

        only_log(exported)

    def test_console_is_for_people(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        clew.configure(service="orders", endpoint=collector.url, log_format="console")

        structlog.get_logger().info("hello there", n=1)

        assert "hello there" in capsys.readouterr().err

    def test_configured_twice_a_line_is_one_record(self, exported: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=exported.url, log_format="json")
        clew.configure(service="renamed", endpoint=exported.url, log_format="json")

        structlog.get_logger().info("once")

        only_log(exported)


class TestChainOfTheService:
    def test_the_processor_comes_before_the_renderer_once(self, collector: FakeCollector) -> None:
        lines: list[Any] = []
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
            logger_factory=lambda *names: structlog.testing.CapturingLogger(),
            cache_logger_on_first_use=True,
        )
        cached = structlog.get_logger().bind()
        for service in ("one", "two"):
            clew.configure(service=service, endpoint=collector.url)

        with clew.get_tracer("t").start_as_current_span("work"):
            cached.warning("mine")
        lines = [json.loads(call.args[0]) for call in cached._logger.calls]

        assert lines[0]["event"] == "mine"
        assert lines[0]["trace_id"]
        record = only_log(collector)
        assert (record.body.string_value, record.severity_text) == ("mine", "WARNING")
        assert len(structlog.get_config()["processors"]) == 3

    def test_a_tuple_of_processors_is_joined_too(self, collector: FakeCollector) -> None:
        structlog.configure(
            processors=(structlog.processors.KeyValueRenderer(),),
            logger_factory=structlog.testing.CapturingLoggerFactory(),
        )

        clew.configure(service="orders", endpoint=collector.url)
        structlog.get_logger().info("x")

        only_log(collector)

    def test_an_exception_that_was_rendered_before_is_still_known(self, collector: FakeCollector) -> None:
        structlog.configure(
            processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
            logger_factory=structlog.testing.CapturingLoggerFactory(),
        )
        clew.configure(service="orders", endpoint=collector.url)

        structlog.get_logger().error("failed", exc_info=ValueError("too many"))

        attributes = attributes_of(only_log(collector).attributes)
        assert attributes["exception.type"] == "ValueError"
        assert attributes["exception.message"] == "too many"
        assert attributes["exception.stacktrace"].startswith("ValueError")

    def test_a_chain_set_up_after_configure_is_joined_by_instrument(self, collector: FakeCollector) -> None:
        from starlette.applications import Starlette

        clew.configure(service="orders", endpoint=collector.url)
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.testing.CapturingLoggerFactory()
        )

        clew.instrument(Starlette())
        structlog.get_logger().info("x")

        only_log(collector)


RENDERERS = {
    "text": structlog.processors.JSONRenderer(),
    "keywords": structlog.stdlib.render_to_log_kwargs,
    "formatter": structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
}


@pytest.mark.parametrize("renderer", RENDERERS)
class TestOverLogging:
    @pytest.fixture
    def stream(self, collector: FakeCollector, renderer: str) -> io.StringIO:
        stream = io.StringIO()
        handler = stdlib_logger(stream).handlers[0]
        if renderer == "formatter":
            handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=structlog.processors.JSONRenderer()))
        structlog.configure(
            processors=[
                structlog.stdlib.add_logger_name,
                structlog.stdlib.add_log_level,
                RENDERERS[renderer],  # type: ignore[list-item]
            ],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        clew.configure(service="orders", endpoint=collector.url)
        return stream

    def test_a_line_is_one_record_with_its_values(
        self, collector: FakeCollector, stream: io.StringIO, renderer: str
    ) -> None:
        log = structlog.get_logger("shop.structured")

        with clew.get_tracer("t").start_as_current_span("work"):
            log.warning("stock low", sku="a-1")

        record = only_log(collector)
        attributes = attributes_of(record.attributes)
        assert record.body.string_value == "stock low"
        assert attributes["sku"] == "a-1"
        assert attributes["correlation.id"]
        assert record.trace_id
        assert list(collector.log_scopes) == ["shop.structured"]
        assert stream.getvalue().count("stock low") == 1

    def test_the_level_of_logging_is_honoured(
        self, collector: FakeCollector, stream: io.StringIO, renderer: str
    ) -> None:
        structlog.get_logger("shop.structured").debug("too quiet", sku="a-1")
        logging.getLogger("shop.structured").info("next line")

        assert only_log(collector).body.string_value == "next line"

    def test_a_filter_of_logging_is_honoured_and_leaves_nothing_behind(
        self, collector: FakeCollector, stream: io.StringIO, renderer: str
    ) -> None:
        logger = logging.getLogger("shop.structured")
        logger.addFilter(lambda record: "next" in str(record.msg))

        structlog.get_logger("shop.structured").info("filtered", sku="a-1")
        logger.info("next line")

        assert only_log(collector).body.string_value == "next line"
