"""Sends every kind of message once, each in a request that is named for it."""

# mypy: disable-error-code="no-untyped-call,call-arg"

import dramatiq

import clew
from tests.instrumentation.messaging.dramatiq_app import (
    add,
    broken,
    broker,
    charge,
    charge_later,
    flaky,
    postponed,
    slow,
)
from tests.instrumentation.messaging.observed import AWKWARD_HEADERS, clew_off

with clew.request("handler", correlation_id="plain"):
    charge.send(1)
with clew.request("handler", correlation_id="async"):
    charge_later.send(2)
with clew.request("handler", correlation_id="delayed"):
    charge.send_with_options(args=(3,), delay=50)
with clew.request("handler", correlation_id="retried"):
    flaky.send("flaky")
with clew.request("handler", correlation_id="postponed"):
    postponed.send("postponed")
with clew.request("handler", correlation_id="broken"):
    broken.send()
with clew.request("handler", correlation_id="pipeline"):
    (add.message(1, 2) | add.message(3) | charge.message()).run()
with clew.request("handler", correlation_id="group"):
    dramatiq.group(add.message(number, 1) for number in range(3)).run()
with clew_off():
    headers = [
        {name: value for name, value in sent.items() if not isinstance(value, bytes)} for sent in AWKWARD_HEADERS
    ]
    for number, sent in enumerate([*headers, 17, "text", [["traceparent"], 3]]):
        broker.enqueue(add.message_with_options(args=(1, 2), clew=sent).copy(message_id=f"awkward-{number}"))
with clew.request("handler", correlation_id="slow"):
    slow.send()
broker.close()
