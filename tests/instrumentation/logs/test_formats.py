import io
import json
import logging
import re
import shlex
import sys
from typing import Any

import pytest
import structlog

import clew
from clew.runtime import RUNTIME
from tests.instrumentation.fake_collector import FakeCollector

SPLITS = "\n\r\x85\u2028\x1b"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def configure(collector: FakeCollector, log_format: Any = "auto", **settings: Any) -> None:
    clew.configure(service="orders", endpoint=collector.url, log_format=log_format, **settings)


def only_line(capsys: pytest.CaptureFixture[str]) -> str:
    (line,) = capsys.readouterr().err.split("\n")[:-1]
    return line


def fail(log: Any) -> None:
    try:
        try:
            raise KeyError("sku")
        except KeyError as cause:
            raise ExceptionGroup("two", [ValueError("a"), OSError("b")]) from cause
    except ExceptionGroup:
        log.exception("failed")


class TestEcs:
    def test_a_line_has_the_names_of_the_schema(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, "ecs", version="1.2", environment="prod")

        with clew.request("job", correlation_id="req-1"):
            structlog.get_logger("shop").warning("stock low", sku="a-1", user="bob", host={"name": "h"})
            trace_id = clew.trace_id()

        line = json.loads(only_line(capsys))
        assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("@timestamp"))
        assert len(line.pop("span.id")) == 16
        assert line.pop("process.pid") > 0
        assert line == {
            "log.level": "warning",
            "message": "stock low",
            "ecs.version": "8.17.0",
            "service.name": "orders",
            "service.version": "1.2",
            "service.environment": "prod",
            "process.thread.name": "MainThread",
            "log.logger": "shop",
            "correlation.id": "req-1",
            "trace.id": trace_id,
            "sku": "a-1",
            # `user` and `host` are objects in the schema: a document with a text there would be refused.
            "labels.user": "bob",
            "host": {"name": "h"},
        }

    def test_an_exception_is_an_error_with_its_causes(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, "ecs")

        fail(structlog.get_logger())

        line = json.loads(only_line(capsys))
        assert line["error.type"] == "ExceptionGroup"
        assert line["error.message"] == "two (2 sub-exceptions)"
        for part in ("KeyError: 'sku'", "direct cause", "ValueError: a", "OSError: b"):
            assert part in line["error.stack_trace"]

    def test_lines_of_logging_say_where_they_come_from(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, "ecs", root_handler=True)

        logging.getLogger("lib").info("hello %s", "you", extra={"n": 1, "message_": "x"})

        line = json.loads(only_line(capsys))
        assert line["message"] == "hello you"
        assert line["log.logger"] == "lib"
        assert line["log.origin.file.name"] == __file__
        assert line["log.origin.function"] == "test_lines_of_logging_say_where_they_come_from"
        assert line["n"] == 1


class TestLogfmt:
    def test_every_value_can_be_read_back(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(collector, "logfmt")

        structlog.get_logger("shop").info(
            'say "hi"', plain="a-1", n=7, ok=True, none=None, empty="", eq="a=b", **{"a key=": "x", "": 1}
        )

        pairs = dict(pair.partition("=")[::2] for pair in shlex.split(only_line(capsys)))
        assert pairs.pop("timestamp")
        assert pairs == {
            "level": "info",
            "event": 'say "hi"',
            "logger": "shop",
            "plain": "a-1",
            "n": "7",
            "ok": "true",
            "none": "null",
            "empty": "",
            "eq": "a=b",
            "a_key_": "x",
            "_": "1",
        }

    def test_a_line_is_one_line_whatever_is_in_it(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, "logfmt")

        structlog.get_logger().info(SPLITS, **{f"k{SPLITS}": SPLITS})

        line = only_line(capsys)
        assert line.isprintable()
        assert line.splitlines() == [line]


class TestJson:
    def test_an_exception_is_three_fields(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(collector, "json")

        fail(structlog.get_logger())

        line = json.loads(only_line(capsys))
        assert line["exception.type"] == "ExceptionGroup"
        assert line["exception.message"] == "two (2 sub-exceptions)"
        assert "KeyError: 'sku'" in line["exception.stacktrace"]

    def test_every_line_is_valid_json(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(collector, "json")

        structlog.get_logger().info("x", nan=float("nan"), inf=[float("-inf")], raw=b"\xff\x00", s={1}, k={(1, 2): 3})

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        line = json.loads(only_line(capsys), parse_constant=refuse)
        assert (line["nan"], line["inf"], line["raw"], line["s"]) == ("nan", ["-inf"], "\\xff\x00", [1])
        assert line["k"] == {"(1, 2)": 3}

    def test_extra_by_the_name_of_a_field_of_ours_is_kept(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, "json", root_handler=True)

        logging.getLogger("lib").info("hello", extra={"event": "mine", "level": 3})

        line = json.loads(only_line(capsys))
        assert (line["event"], line["event_"], line["level"], line["level_"]) == ("hello", "mine", "info", 3)

    def test_an_id_that_the_caller_bound_stays(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, "json")

        with clew.request("job"):
            structlog.get_logger().info("x", correlation_id="mine")

        assert json.loads(only_line(capsys))["correlation_id"] == "mine"


class TestConsole:
    def test_ids_are_short_and_last(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(collector, "console")

        with clew.request("job"):
            structlog.get_logger("shop").info("order accepted", n=7, note="two words")
            made = clew.correlation_id() or ""

        assert re.fullmatch(
            rf'\d\d:\d\d:\d\d\.\d{{3}} info     order accepted +n=7 note="two words"  shop {made[:8]}',
            only_line(capsys),
        )

    def test_nobody_can_forge_a_line(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(collector, "console")

        structlog.get_logger().info("a\n12:00:00.000 info     b\x1b[2J", k="c\nd")

        first, second = capsys.readouterr().err.splitlines()
        assert second == '    12:00:00.000 info     b\\x1b[2J k="c\\nd"'
        assert "\x1b" not in first

    def test_colours_are_for_terminals(self, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        shown = []
        for stream, no_color in ((Terminal(), ""), (Terminal(), "1"), (io.StringIO(), "")):
            monkeypatch.setattr(sys, "stderr", stream)
            monkeypatch.setenv("NO_COLOR", no_color)
            configure(collector, "console")
            structlog.get_logger().info("x")
            shown.append("\x1b[" in stream.getvalue())

        assert shown == [True, False, False]

    def test_auto_is_console_on_a_terminal(self, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = Terminal()
        monkeypatch.setattr(sys, "stderr", stream)
        configure(collector, "auto")

        structlog.get_logger().info("x")

        assert not stream.getvalue().startswith("{")

    def test_an_exception_comes_below(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(collector, "console")

        fail(structlog.get_logger())

        lines = capsys.readouterr().err.splitlines()
        assert "failed" in lines[0]
        assert lines[1] == "Traceback (most recent call last):"
        assert any("ValueError: a" in line for line in lines)


class TestPattern:
    def test_a_pattern_says_what_a_line_is(self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]) -> None:
        configure(
            collector,
            root_handler=True,
            log_pattern="{time:%Y} {level:<8}|{service}|{logger}|{correlation_id}|{trace_id:.4}|{message:>8}|{fields}"
            "|{{}}",
        )

        with clew.request("job", correlation_id="req-1"):
            structlog.get_logger("shop").info("one", n=1)
            logging.getLogger("lib").warning("two")
            trace_id = clew.trace_id() or ""

        one, two = capsys.readouterr().err.splitlines()
        assert re.fullmatch(rf"\d{{4}} INFO    \|orders\|shop\|req-1\|{trace_id[:4]}\|     one\|n=1\|{{}}", one)
        assert re.fullmatch(rf"\d{{4}} WARNING \|orders\|lib\|req-1\|{trace_id[:4]}\|     two\|\|{{}}", two)

    def test_ids_are_empty_outside_of_a_request(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        configure(collector, log_pattern="{trace_id}|{span_id}|{correlation_id}|{exception}|{message}")

        structlog.get_logger().info("x")

        assert only_line(capsys) == "||||x"

    @pytest.mark.parametrize(
        ("pattern", "starts"), [("{message}", "failed\nTrace"), ("{exception}|{message}", "Trace")]
    )
    def test_an_exception_is_never_lost(
        self, collector: FakeCollector, capsys: pytest.CaptureFixture[str], pattern: str, starts: str
    ) -> None:
        configure(collector, log_pattern=pattern)

        fail(structlog.get_logger())

        written = capsys.readouterr().err
        assert written.startswith(starts)
        assert written.count("Traceback (most") == 2

    @pytest.mark.parametrize(
        "pattern",
        ["{nope}", "{}", "{0}", "{message.__class__}", "{message!r}", "{level:{width}}", "{level:d}", "{", "}"],
    )
    def test_a_pattern_that_cannot_work_is_refused_with_the_names_there_are(
        self, collector: FakeCollector, pattern: str
    ) -> None:
        configure(collector)
        before = RUNTIME.exporter

        with pytest.raises(ValueError, match=r"log_pattern must be .*\{correlation_id\}.*\{exception\}.*got"):
            configure(collector, log_pattern=pattern)

        assert RUNTIME.exporter is before
