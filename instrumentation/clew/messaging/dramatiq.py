"""dramatiq: sending a message is one span, each run of its actor another, in the trace and with the correlation ID of
who sent it.

The IDs travel in the option `clew` of a message. The global broker, and every one that is made after
`clew.configure()`, has the middleware by itself; another one takes it by `broker.add_middleware(RequestMiddleware())`.
"""

import threading
from typing import Any, Final

import dramatiq.broker
from dramatiq.broker import Broker
from dramatiq.errors import RateLimitExceeded, Retry
from dramatiq.middleware import Middleware
from dramatiq.worker import ConsumerThread
from opentelemetry.util.types import AnyValue

from clew.clients.wrapping import AnyFunction, wrap
from clew.importing import when_imported
from clew.messaging.operations import DESTINATION, MESSAGE_ID, Sending, processing
from clew.messaging.quietly import quietly
from clew.runtime import EXIT_TIMEOUT_S, RUNTIME

OPTION: Final = "clew"
"""The option of a message with its headers."""

_SYSTEM: Final = "dramatiq"
_FOLLOWING: Final = "_clew_following"


def install() -> None:
    """Give the middleware to every broker; twice is the same as once."""
    wrap(Broker, "__init__", _around_init)
    when_imported("dramatiq.brokers.redis", _install_redis)
    if dramatiq.broker.global_broker is not None:
        _add_to(dramatiq.broker.global_broker)


def _install_redis() -> None:
    from dramatiq.brokers.redis import RedisBroker

    wrap(RedisBroker, "_dispatch", _around_dispatch)


class RequestMiddleware(Middleware):
    """Runs each message in the request that sent it. Best the first one: what others log is then in it too."""

    def before_process_message(self, broker: Any, message: Any) -> None:
        """Enter the request."""
        if RUNTIME.enabled:
            headers = message.options.get(OPTION)
            attributes = _attributes_of(message)
            following = processing(_SYSTEM, message.actor_name, headers, attributes=attributes)
            setattr(message, _FOLLOWING, following.__enter__())

    def after_process_message(
        self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Leave it; a message that asks to be tried again has not failed."""
        following = message.__dict__.pop(_FOLLOWING, None)
        if following is not None:
            is_failure = not isinstance(exception, (Retry, RateLimitExceeded))
            following.__exit__(None, exception if is_failure else None, None)

    def after_skip_message(self, broker: Any, message: Any) -> None:
        """Leave it."""
        self.after_process_message(broker, message)

    def after_worker_shutdown(self, broker: Any, worker: Any) -> None:
        """Send what is left: worker processes end without `atexit`."""
        if RUNTIME.exporter is not None:
            RUNTIME.exporter.finish(timeout_s=EXIT_TIMEOUT_S)


def _around_init(original: AnyFunction) -> AnyFunction:
    def __init__(self: Any, *args: Any, **options: Any) -> None:  # noqa: N807  (it becomes that method)
        original(self, *args, **options)
        _add_to(self)

    return __init__


def _add_to(broker: Any) -> None:
    if not any(isinstance(middleware, RequestMiddleware) for middleware in broker.middleware):
        first = type(broker.middleware[0]) if broker.middleware else None
        broker.add_middleware(RequestMiddleware(), before=first)
    # Each kind of broker has an `enqueue` of its own.
    owner = next(parent for parent in type(broker).__mro__ if "enqueue" in parent.__dict__)
    wrap(owner, "enqueue", _around_enqueue)


def _around_enqueue(original: AnyFunction) -> AnyFunction:
    move = quietly(original)

    def enqueue(self: Any, message: Any, **options: Any) -> Any:
        if not RUNTIME.enabled:
            return original(self, message, **options)
        if _is_delayed(message):
            return move(self, message, **options)
        with Sending(_SYSTEM, message.actor_name, attributes=_attributes_of(message)) as sending:
            if sending.headers:
                message.options[OPTION] = sending.headers
            return original(self, message, **options)

    return enqueue


def _around_dispatch(original: AnyFunction) -> AnyFunction:
    def _dispatch(self: Any, command: str) -> Any:
        return quietly(original(self, command))

    return _dispatch


def _is_delayed(message: Any) -> bool:
    """Whether a worker only puts a message where it has to be now that its time has come."""
    return OPTION in message.options and isinstance(threading.current_thread(), ConsumerThread)


def _attributes_of(message: Any) -> dict[str, AnyValue]:
    return {
        DESTINATION: message.queue_name,
        MESSAGE_ID: message.message_id,
        "dramatiq.actor_name": message.actor_name,
        "dramatiq.retries": message.options.get("retries", 0),
    }
