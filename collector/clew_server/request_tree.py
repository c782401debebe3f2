"""A request as a tree of text."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from rich.console import Group
from rich.text import Text

from clew.fields import EXCEPTION_MESSAGE, EXCEPTION_TYPE
from clew_collector.model import ERROR_SEVERITY, WARN_SEVERITY, Attributes, LogRecord, Request, Span, Value

_SERVICE_COLORS = ("blue", "green", "magenta", "cyan", "yellow", "bright_blue", "bright_magenta", "bright_cyan")
_MAX_DEPTH_SHOWN = 40


def request_tree(request: Request) -> Group:
    """The request's head line, then its spans in causal order, each followed by its log lines by time."""
    colors = {service: _SERVICE_COLORS[i % len(_SERVICE_COLORS)] for i, service in enumerate(sorted(request.services))}
    return Group(_head(request), *_rows(request, colors))


def duration_text(duration_ns: int) -> str:
    """A duration as a person would say it: `640 us`, `12.3 ms`, `2.41 s`."""
    if duration_ns < 1_000_000:
        return f"{duration_ns / 1e3:.0f} us"
    if duration_ns < 1_000_000_000:
        return f"{duration_ns / 1e6:.1f} ms"
    return f"{duration_ns / 1e9:.2f} s"


def _head(request: Request) -> Text:
    errors = sum(span.is_error for span in request.spans) + sum(log.is_error for log in request.logs)
    started = datetime.fromtimestamp(request.start_ns / 1e9).astimezone()
    head = Text(request.id, style="bold")
    head.append(f"  {started:%Y-%m-%d %H:%M:%S}.{request.start_ns // 1_000_000 % 1000:03d}", style="dim")
    head.append(f"  {duration_text(request.duration_ns)}")
    head.append(f"  {_plural(len(request.services), 'service')}, {_plural(len(request.spans), 'span')}")
    head.append(f", {_plural(len(request.logs), 'log')}")
    if errors:
        head.append(f", {_plural(errors, 'error')}", style="bold red")
    for trace_id in request.trace_ids:
        head.append(f"\ntrace {trace_id}", style="dim")
    return head


def _rows(request: Request, colors: dict[str, str]) -> Iterator[Text]:
    """Depth first without recursion: a trace can be deeper than Python's stack."""
    known = {span.span_id for span in request.spans if span.span_id}
    children: dict[str | None, list[Span]] = defaultdict(list)
    for span in request.spans:
        parent = span.parent_span_id if span.parent_span_id in known and span.parent_span_id != span.span_id else None
        children[parent].append(span)
    lines: dict[str | None, list[LogRecord]] = defaultdict(list)
    for log in request.logs:
        lines[log.span_id if log.span_id in known else None].append(log)

    shown: set[int] = set()
    yield from _tree(request, children, lines, shown, colors)
    # A loop of parents hangs from no root; its spans are shown all the same.
    for span in request.spans:
        if id(span) not in shown:
            yield _span_row(span, request, 0, colors)
    for log in lines[None]:
        yield from _log_rows(log, request, 0, service_style=f"bold {colors[log.service]}")


def _tree(
    request: Request,
    children: dict[str | None, list[Span]],
    lines: dict[str | None, list[LogRecord]],
    shown: set[int],
    colors: dict[str, str],
) -> Iterator[Text]:
    pending: list[tuple[int, Span | LogRecord]] = [(0, span) for span in reversed(children[None])]
    while pending:
        depth, item = pending.pop()
        if isinstance(item, LogRecord):
            yield from _log_rows(item, request, depth)
            continue
        if id(item) in shown:
            continue
        shown.add(id(item))
        yield _span_row(item, request, depth, colors)
        yield from _exception_rows(item, depth + 1)
        below: list[Span | LogRecord] = [*children.pop(item.span_id, []), *lines.pop(item.span_id, [])]
        below.sort(key=lambda it: it.time_ns if isinstance(it, LogRecord) else it.start_ns)
        pending.extend((depth + 1, it) for it in reversed(below))


def _span_row(span: Span, request: Request, depth: int, colors: dict[str, str]) -> Text:
    row = _start(span.start_ns, request, depth)
    row.append("x " if span.is_error else "- ", style="bold red" if span.is_error else "dim")
    row.append(span.service, style=f"bold {colors[span.service]}")
    row.append(f"  {span.name}")
    took = "no end reported" if span.duration_ns is None else duration_text(span.duration_ns)
    row.append(f"  {took}", style="dim")
    if span.is_error and span.status_message:
        row.append(f"  {span.status_message}", style="red")
    return row


def _log_rows(log: LogRecord, request: Request, depth: int, *, service_style: str | None = None) -> Iterator[Text]:
    """A line, and those that its body has beside the first; with its service where no span above says it."""
    row = _start(log.time_ns, request, depth)
    style = "red" if log.severity_number >= ERROR_SEVERITY else "yellow" if log.severity_number >= WARN_SEVERITY else ""
    row.append(f"{_level(log):<5} ", style=f"bold {style}".strip())
    if service_style is not None:
        row.append(f"{log.service}  ", style=service_style)
    first, *more = _text(log.body).splitlines() or [""]
    row.append(first, style=style)
    if EXCEPTION_TYPE in log.attributes:
        row.append(f"  {_exception_line(log.attributes)}", style="red")
    yield row
    for line in more:
        yield Text(f"{' ' * _indent(depth)}{line}", style=style)


def _level(log: LogRecord) -> str:
    """The name of the range that the severity number lies in (OpenTelemetry logs data model)."""
    if not 1 <= log.severity_number <= 24:
        return log.severity_text.upper()[:5] or "LOG"
    return ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")[(log.severity_number - 1) // 4]


def _exception_rows(span: Span, depth: int) -> Iterator[Text]:
    for event in span.events:
        if event.name != "exception":
            continue
        yield Text(f"{' ' * _indent(depth)}{_exception_line(event.attributes)}", style="red")


def _indent(depth: int) -> int:
    """Where what is below a row begins."""
    return 11 + 2 * min(depth, _MAX_DEPTH_SHOWN)


def _exception_line(attributes: Attributes) -> str:
    name = _text(attributes.get(EXCEPTION_TYPE, "")).rpartition(".")[2]
    return f"{name}: {_text(attributes.get(EXCEPTION_MESSAGE, ''))}"


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def _start(time_ns: int, request: Request, depth: int) -> Text:
    offset = f"+{duration_text(max(0, time_ns - request.start_ns))}"
    return Text(f"{offset:>10} {'  ' * min(depth, _MAX_DEPTH_SHOWN)}")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
