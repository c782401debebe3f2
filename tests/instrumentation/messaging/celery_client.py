"""Sends every kind of task once, each in a request that is named for it, and waits for what they give."""

from celery import chain, chord, group

import clew
from tests.instrumentation.messaging.celery_app import (
    add,
    app,
    broken,
    charge,
    flaky,
    ignored,
    parent,
    refused,
    total,
)
from tests.instrumentation.messaging.observed import AWKWARD_HEADERS, FOREIGN, clew_off

TIMEOUT_S = 20
STALE = {name: value for name, value in FOREIGN.items() if name != "X-Request-ID"}
"""As a task has them that passes its own headers on."""

with clew.request("handler", correlation_id="plain"):
    results = [charge.delay(1)]
with clew.request("handler", correlation_id="by-name"):
    results += [app.send_task("shop.charge", (1,), headers={"tenant": "acme", **STALE})]
with clew.request("handler", correlation_id="later"):
    results += [charge.apply_async((1,), countdown=0.1)]
with clew.request("handler", correlation_id="retried"):
    results += [flaky.delay()]
with clew.request("handler", correlation_id="chain"):
    results += [chain(add.s(1, 2), add.s(3), charge.s()).apply_async()]
with clew.request("handler", correlation_id="group"):
    results += [group(add.s(number, 1) for number in range(3)).apply_async()]
with clew.request("handler", correlation_id="chord"):
    results += [chord((add.s(number, 1) for number in range(3)), total.s()).apply_async()]
with clew.request("handler", correlation_id="nested"):
    results += [parent.delay()]
with clew.request("handler", correlation_id="broken"):
    failing = broken.delay()
with clew.request("handler", correlation_id="ignored"):
    ignored.delay()
with clew.request("handler", correlation_id="refused"):
    refused.delay()
with clew_off():
    for number, headers in enumerate(AWKWARD_HEADERS):
        # JSON, which Celery's Redis transport speaks, has no bytes.
        sent = {name: value for name, value in headers.items() if not isinstance(value, bytes)}
        results += [add.apply_async((1, 2), task_id=f"awkward-{number}", headers=sent)]

for result in results:
    result.get(timeout=TIMEOUT_S)
try:
    failing.get(timeout=TIMEOUT_S)
except ValueError as error:
    print(f"failed: {error}")
