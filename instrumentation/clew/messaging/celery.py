"""Celery: sending a task is one span, each run of it another, in the trace and with the correlation ID of who sent it.

The IDs travel in the headers of the task's message. Runs are followed by Celery's own signals, which are there for
every kind of worker and for tasks that are called eagerly.
"""

import logging
import sys
from contextlib import AbstractContextManager, nullcontext
from types import FrameType
from typing import Any, Final

from celery import signals
from celery.app.base import Celery
from celery.app.task import Task
from celery.exceptions import Retry, TaskPredicate
from opentelemetry.context.context import Context
from opentelemetry.trace import NonRecordingSpan
from opentelemetry.util.types import AnyValue

from clew.clients.outgoing import is_traced_by
from clew.clients.wrapping import AnyFunction, wrap
from clew.context import CURRENT, SPAN_KEY
from clew.incoming import INTERNAL, Following, Resumed, sender_of
from clew.logs.stdlib_bridge import SeenExtra
from clew.messaging.operations import DESTINATION, MESSAGE_ID, REDELIVERED, Sending, processing, span_being_sent
from clew.runtime import EXIT_TIMEOUT_S, RUNTIME

_SYSTEM: Final = "celery"
_OTEL: Final = "opentelemetry.instrumentation.celery"
_FOLLOWING: Final = "_clew_following"
_TASK_NAME: Final = "celery.task_name"
_REDIRECTED: Final = "celery.redirected"
_WRITERS: Final = ("clew.logs.output", "structlog.")
_MAX_FRAMES: Final = 12


def install() -> None:
    """Wrap sending and connect to the signals of running; twice is the same as once."""
    wrap(Celery, "send_task", _around_send_task)
    wrap(Task, "start_strategy", _around_start_strategy)
    signals.before_task_publish.connect(_describe_sending, weak=False, dispatch_uid="clew")
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid="clew")
    signals.task_postrun.connect(_end, weak=False, dispatch_uid="clew")
    signals.worker_process_shutdown.connect(_flush, weak=False, dispatch_uid="clew")
    logging.getLogger(_REDIRECTED).addFilter(_skip_lines_of_structlog)


def _around_send_task(original: AnyFunction) -> AnyFunction:
    def send_task(self: Any, name: str, *args: Any, **options: Any) -> Any:
        if not RUNTIME.enabled:
            return original(self, name, *args, **options)
        attributes = {_TASK_NAME: name}
        with Sending(_SYSTEM, name, operation="apply_async", attributes=attributes, traced_by=_OTEL) as sending:
            if sending.headers:
                options["headers"] = sending.added_to(options.get("headers"))
            return original(self, name, *args, **options)

    return send_task


def _describe_sending(headers: Any = None, exchange: Any = None, routing_key: Any = None, **_signal: Any) -> None:
    """What is known of a task's message only once it has been routed."""
    span = span_being_sent()
    if span is None:
        return
    span.set_attribute(DESTINATION, routing_key or getattr(exchange, "name", exchange))
    if isinstance(headers, dict):
        span.set_attribute(MESSAGE_ID, headers.get("id"))
        span.set_attribute("celery.eta", headers.get("eta"))
        span.set_attribute("celery.retries", headers.get("retries"))


def _around_start_strategy(original: AnyFunction) -> AnyFunction:
    def start_strategy(self: Any, *args: Any, **options: Any) -> Any:
        handle = original(self, *args, **options)

        def handle_in_request(message: Any, *args: Any, **options: Any) -> Any:
            with _noticed(getattr(message, "headers", None)):
                return handle(message, *args, **options)

        return handle_in_request

    return start_strategy


def _noticed(headers: Any) -> AbstractContextManager[None]:
    """The sender's context, for what the worker logs about a task before it runs: that it was received, or revoked."""
    if not RUNTIME.enabled or not RUNTIME.headers.trusts_callers:
        return nullcontext()
    sender = sender_of(headers)
    if sender is None:
        return nullcontext()
    received = Following("receive", INTERNAL, headers)  # only for its context: the span is never ended, nor sent
    return Resumed(Context({**received.context, SPAN_KEY: NonRecordingSpan(sender)}))


def _begin(task: Any = None, **_signal: Any) -> None:
    if not RUNTIME.enabled or is_traced_by(_OTEL, CURRENT.get()):
        return
    request = task.request
    attributes = _attributes_of(task.name, request)
    if request.is_eager:
        following = Following(f"run {task.name}", INTERNAL, attributes=attributes)
    else:
        following = processing(_SYSTEM, task.name, request.headers, operation="run", attributes=attributes)
    setattr(request, _FOLLOWING, following.__enter__())


def _attributes_of(name: str, request: Any) -> dict[str, AnyValue]:
    attributes: dict[str, AnyValue] = {
        _TASK_NAME: name,
        MESSAGE_ID: request.id,
        "celery.retries": request.retries,
        "celery.hostname": request.hostname,
    }
    delivery = request.delivery_info
    if isinstance(delivery, dict):
        attributes[DESTINATION] = delivery.get("routing_key")
        if delivery.get("redelivered"):
            attributes[REDELIVERED] = True
    return attributes


def _end(task: Any = None, retval: Any = None, state: Any = None, **_signal: Any) -> None:
    following = task.request.__dict__.pop(_FOLLOWING, None)
    if following is None:
        return
    # A task that is left by an exception nobody has caught yet has no state.
    outcome = sys.exc_info()[1] if state is None else retval
    following.span.set_attribute("celery.state", state)
    if isinstance(outcome, Retry):
        following.span.set_attribute("celery.retry.reason", outcome.humanize())
    error = outcome if isinstance(outcome, BaseException) and state in (None, "FAILURE") else None
    following.__exit__(None, None if isinstance(error, TaskPredicate) else error, None)


def _flush(**_signal: Any) -> None:
    """The children of a prefork worker end without `atexit`."""
    if RUNTIME.exporter is not None:
        RUNTIME.exporter.finish(timeout_s=EXIT_TIMEOUT_S)


def _skip_lines_of_structlog(record: logging.LogRecord) -> bool:
    """Let everything pass, but have exported once what structlog writes: a worker's `sys.stderr` is a logger too."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_MAX_FRAMES):
        if frame is None:
            break
        if str(frame.f_globals.get("__name__", "")).startswith(_WRITERS):
            record.__dict__.setdefault("extra", SeenExtra())
            break
        frame = frame.f_back
    return True
