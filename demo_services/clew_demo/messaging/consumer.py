"""Taking messages from a queue: each is processed until it is done, or set aside as a dead letter."""

# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="no-untyped-call,attr-defined"
import heapq
import itertools
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from kombu import Connection, Queue
from kombu.message import Message as Delivery

import clew
from clew_demo.messaging.broker import keep_connected
from clew_demo.messaging.dead_letters import REASON
from clew_demo.messaging.events import Message, dead_letter_queue
from clew_demo.messaging.publishing import ATTEMPT, attempt_of, read, send_again

PREFETCH = 20
"""Messages that a consumer holds at most, those that wait for their next attempt among them."""

LONGEST_BACKOFF_S = 20
WAKE_EVERY_S = 0.5
STOP_TIMEOUT_S = 3

log = structlog.get_logger()


class Reject(Exception):
    """The message cannot be processed, however often it is tried: set it aside as a dead letter at once."""


@dataclass(order=True, slots=True)
class _Failed:
    """A delivery that waits for its next attempt, and the request that it is a part of."""

    due_s: float
    number: int
    delivery: Delivery = field(compare=False)
    request: Any = field(compare=False)


class Consumer:
    """Gives each message of a queue to `handle`, as a part of the request that sent it.

    A message is acknowledged when `handle` has returned. If that raises, the message is sent again with a higher
    `attempt`, each time after twice the wait, while others are processed; after `max_attempts`, or `Reject`, it is a
    dead letter. A process that is killed loses nothing: what is not acknowledged is delivered again.
    """

    def __init__(
        self,
        broker_url: str,
        queue: str,
        handle: Callable[[Message], None],
        *,
        max_attempts: int = 5,
        retry_after_s: float = 1.0,
        continues_requests: bool | Callable[[], bool] = True,
    ) -> None:
        """`continues_requests`, asked for each message: whether to go on in the request of who sent it."""
        self.queue = queue
        self._broker_url = broker_url
        self._handle = handle
        self._max_attempts = max_attempts
        self._retry_after_s = retry_after_s
        self._continues_requests = continues_requests
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._received: deque[Delivery] = deque()
        self._failed: list[_Failed] = []
        self._numbers = itertools.count()

    def start(self) -> None:
        """Consume in a thread of its own, until `stop`."""
        self._thread = threading.Thread(target=self.run, name=f"consumer-{self.queue}", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Consume until `stop`; while the broker is away, wait for it."""
        keep_connected(self._broker_url, self._serve, stopping=self._stopping)

    def stop(self) -> None:
        """Stop after the message that is being processed. Twice is safe; so is a call from a signal handler."""
        self._stopping.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT_S)

    def _serve(self, connection: Connection) -> None:
        # What an earlier connection has brought, the broker delivers again.
        self._received.clear()
        self._failed.clear()
        # Not processed in the callback: kombu may call that while a message is being sent again.
        consumer = connection.Consumer(
            [Queue(self.queue)], on_message=self._received.append, prefetch_count=PREFETCH, auto_declare=False
        )
        with consumer:
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    connection.drain_events(timeout=self._wait_s())
                while self._received and not self._stopping.is_set():
                    self._process(connection, self._received.popleft())
                self._send_failed_again(connection)

    def _process(self, connection: Connection, delivery: Delivery) -> None:
        headers = delivery.headers if self._is_continuing() else None
        attributes = {"messaging.message.id": delivery.properties.get("message_id", "")}
        system = "rabbitmq" if connection.transport.driver_type == "amqp" else connection.transport.driver_type
        try:
            with clew.processing(system, self.queue, headers, attributes=attributes) as request:
                self._handle(_read(delivery))
        except Exception as error:  # noqa: BLE001  (the top of a message's work: whatever it is, the next one must go on)
            with request.resumed():
                self._fail(connection, delivery, error, request)
        else:
            delivery.ack()

    def _fail(self, connection: Connection, delivery: Delivery, error: Exception, request: Any) -> None:
        attempt = attempt_of(delivery)
        reason = f"{type(error).__name__}: {error}"
        about = {"message_id": delivery.properties.get("message_id"), "attempt": attempt, "reason": reason}
        if isinstance(error, Reject) or attempt >= self._max_attempts:
            log.error("message given up as a dead letter", queue=self.queue, **about)
            send_again(connection, delivery, dead_letter_queue(self.queue), headers={REASON: reason})
            delivery.ack()
            return
        wait_s = min(self._retry_after_s * 2 ** (attempt - 1), LONGEST_BACKOFF_S)
        log.warning("message failed, trying again", queue=self.queue, wait_s=wait_s, **about)
        heapq.heappush(self._failed, _Failed(time.monotonic() + wait_s, next(self._numbers), delivery, request))

    def _send_failed_again(self, connection: Connection) -> None:
        while self._failed and self._failed[0].due_s <= time.monotonic():
            due = heapq.heappop(self._failed)
            with due.request.resumed():
                send_again(connection, due.delivery, self.queue, headers={ATTEMPT: attempt_of(due.delivery) + 1})
            # After the new one is safe: a crash in between makes two of it, never none.
            due.delivery.ack()

    def _wait_s(self) -> float:
        until_due_s = self._failed[0].due_s - time.monotonic() if self._failed else WAKE_EVERY_S
        return min(max(until_due_s, 0.01), WAKE_EVERY_S)

    def _is_continuing(self) -> bool:
        return self._continues_requests if isinstance(self._continues_requests, bool) else self._continues_requests()


def _read(delivery: Delivery) -> Message:
    try:
        return read(delivery)
    except (json.JSONDecodeError, UnicodeDecodeError, TypeError) as error:
        raise Reject(f"not a JSON object: {error}") from error
