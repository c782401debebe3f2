"""What a circuit breaker leaves on the request that changes it, or meets it open: an attribute and a log line."""

import structlog
from opentelemetry import trace
from purgatory.domain.messages.base import Event
from purgatory.domain.messages.events import ContextChanged

STATES = {"closed": "closed", "opened": "open", "half-opened": "half_open"}
"""purgatory's words for the states, and those of span attributes."""

log = structlog.get_logger()


def note_change(name: str, kind: str, event: Event) -> None:
    """Tell of a circuit's new state: a listener for purgatory's factories."""
    if not isinstance(event, ContextChanged):
        return
    note_state(name, event.state)
    if event.state == "opened":
        log.warning("circuit breaker opened", breaker=name)
    elif event.state == "closed":
        log.info("circuit breaker closed", breaker=name)


def note_state(name: str, state: str) -> None:
    """Put the state of a circuit on the request's span; one that is closed all the time is not worth an attribute."""
    trace.get_current_span().set_attributes({"circuit_breaker.name": name, "circuit_breaker.state": STATES[state]})
