"""A service that sets structlog up after clew."""

import asyncio
import io
import json
import logging
from typing import Any

import pytest
import structlog
from structlog import configure as imported_configure

import clew
from tests.instrumentation.fake_collector import FakeCollector, attributes_of

RENDERER = structlog.processors.JSONRenderer()


def only_log(collector: FakeCollector) -> Any:
    assert clew.flush()
    (log,) = collector.logs
    return log


@pytest.mark.parametrize("configure", [structlog.configure, imported_configure, structlog.configure_once])
@pytest.mark.parametrize("chain", [list, tuple, iter])
def test_a_chain_that_comes_later_is_joined_by_whatever_name(
    collector: FakeCollector, capsys: pytest.CaptureFixture[str], configure: Any, chain: Any
) -> None:
    clew.configure(service="orders", endpoint=collector.url, log_format="none")
    structlog.reset_defaults()
    own = [structlog.processors.add_log_level, RENDERER]

    configure(processors=chain(own), logger_factory=structlog.PrintLoggerFactory())
    with clew.request("job", correlation_id="req-1"):
        structlog.get_logger().warning("mine", n=1)

    shown = json.loads(capsys.readouterr().out)
    assert (shown["event"], shown["correlation_id"]) == ("mine", "req-1")
    log = only_log(collector)
    assert (log.body.string_value, log.severity_text) == ("mine", "WARNING")
    assert len(own) == 2


def test_a_chain_that_replaces_clews_own_is_joined_once(exported: FakeCollector) -> None:
    for _ in range(2):
        structlog.configure(processors=[RENDERER], logger_factory=structlog.testing.CapturingLoggerFactory())
        clew.configure(service="orders", endpoint=exported.url, log_format="json")
        structlog.configure(processors=structlog.get_config()["processors"])

    structlog.get_logger().info("once")

    only_log(exported)
    assert len(structlog.get_config()["processors"]) == 2


def test_cached_loggers_are_joined(exported: FakeCollector) -> None:
    structlog.configure(
        processors=[RENDERER],
        logger_factory=structlog.testing.CapturingLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    log = structlog.get_logger()

    log.info("first")
    log.info("second")

    assert clew.flush()
    assert [log.body.string_value for log in exported.logs] == ["first", "second"]


def test_a_chain_over_logging_is_one_record_with_its_values(exported: FakeCollector) -> None:
    stream = io.StringIO()
    logger = logging.getLogger("shop.later")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=RENDERER))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )

    with clew.request("job", correlation_id="req-1"):
        structlog.get_logger("shop.later").info("mine", n=1)

    assert json.loads(stream.getvalue())["correlation_id"] == "req-1"
    log = only_log(exported)
    assert log.body.string_value == "mine"
    assert attributes_of(log.attributes)["n"] == 1


@pytest.mark.parametrize("over_logging", [False, True])
def test_async_methods_carry_the_ids(exported: FakeCollector, over_logging: bool) -> None:
    if over_logging:
        logging.getLogger("shop.async").setLevel(logging.INFO)
        structlog.configure(
            processors=[structlog.stdlib.add_log_level, RENDERER],
            logger_factory=structlog.stdlib.LoggerFactory(),
            wrapper_class=structlog.stdlib.BoundLogger,
        )

    async def work() -> None:
        async with clew.request("job", correlation_id="req-1"):
            await structlog.get_logger("shop.async").ainfo("mine", n=1)

    asyncio.run(work())

    attributes = attributes_of(only_log(exported).attributes)
    assert (attributes["n"], attributes["correlation.id"]) == (1, "req-1")


def test_a_wrapper_class_of_the_service_works(exported: FakeCollector) -> None:
    class Audited(structlog.BoundLogger):
        def audit(self, event: str, **values: Any) -> Any:
            return self._proxy_to_logger("info", event, audited=True, **values)

    structlog.configure(
        processors=[RENDERER], wrapper_class=Audited, logger_factory=structlog.testing.CapturingLoggerFactory()
    )

    structlog.get_logger().audit("paid")

    assert attributes_of(only_log(exported).attributes) == {"audited": True}


def test_structlogs_own_capture_sees_what_the_service_wrote(exported: FakeCollector) -> None:
    with clew.request("job"), structlog.testing.capture_logs() as captured:
        structlog.get_logger().info("x", n=1)
    structlog.get_logger().info("after")

    assert captured == [{"event": "x", "log_level": "info", "n": 1}]
    assert only_log(exported).body.string_value == "after"


def test_rendered_tracebacks_become_the_same_attributes(exported: FakeCollector) -> None:
    structlog.configure(
        processors=[structlog.processors.dict_tracebacks, RENDERER],
        logger_factory=structlog.testing.CapturingLoggerFactory(),
    )

    try:
        raise KeyError("sku")
    except KeyError:
        structlog.get_logger().error("failed", exc_info=True)

    attributes = attributes_of(only_log(exported).attributes)
    assert attributes["exception.type"] == "KeyError"
    assert attributes["exception.message"] == "'sku'"
    assert "test_rendered_tracebacks" in attributes["exception.stacktrace"]


def test_baggage_is_copied_when_asked(collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
    clew.configure(
        service="orders", endpoint=collector.url, log_format="json", baggage_fields=["tenant"], root_handler=True
    )

    with clew.request("job", headers={"baggage": "tenant=acme,other=x"}):
        structlog.get_logger().info("structured")
        logging.getLogger("std").info("plain")
    logging.getLogger("std").info("outside")

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line.get("tenant") for line in lines] == ["acme", "acme", None]
    assert clew.flush()
    assert [attributes_of(log.attributes).get("tenant") for log in collector.logs] == ["acme", "acme", None]
    assert "other" not in str(lines)
