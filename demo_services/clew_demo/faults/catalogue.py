"""The faults by name, and the truth about each: what a person who looks at the stored data should find."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break the shop. Where a fault is simulated, the service asks `Switchboard.is_on(name)`."""

    name: str
    service: str
    """Where it is, as `service.name` has it."""

    operation: str
    """The span that shows it, or the log line where no span does."""

    effect: str
    """What happens, and what can be seen."""


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "slow-database",
            "inventory",
            "UPDATE products",
            "Reserving stock waits 400 ms in its database; checkouts are slow by that much.",
        ),
        Fault(
            "failing-provider",
            "payments",
            "charge card",
            "The first card provider refuses every call; its breaker opens and the second one takes over.",
        ),
        Fault(
            "lost-context",
            "shipping",
            "process shipping.events",
            "The consumer drops the headers of its messages: its work is in traces of its own, under other IDs.",
        ),
        Fault(
            "n-plus-one",
            "catalog",
            "GET /products",
            "The list asks the database once for each product, instead of once for all.",
        ),
        Fault(
            "retry-storm",
            "gateway",
            "GET /products/{product_id}",
            "The catalog fails each second product page, and the gateway asks again five times, without waiting.",
        ),
        Fault(
            "poison-message",
            "notifications",
            "process notifications.requests",
            "Every third message cannot be read: it is delivered until it is given up as a dead letter.",
        ),
        Fault(
            "bad-deploy",
            "catalog",
            "GET /products/{product_id}",
            "The instance catalog-2 says it is version 2.1.0, and fails a third of its product pages.",
        ),
        Fault(
            "version-break",
            "orders",
            "POST /payments",
            "Orders sends `amount` where payments expects `amount_cents`: each payment is refused as not valid.",
        ),
        Fault(
            "clock-skew",
            "accounts",
            "POST /points",
            "The clock of accounts is 45 s ahead: its spans begin after the ones that contain them have ended.",
        ),
        Fault(
            "cache-stampede",
            "catalog",
            "GET /products/{product_id}",
            "Cached pages expire at once, and nobody waits for who loads already: each request loads for itself.",
        ),
        Fault(
            "lock-contention",
            "inventory",
            "acquire lock",
            "Whoever holds the lock for a limited product keeps it 300 ms longer; the others wait.",
        ),
        Fault(
            "breaker-open",
            "recommendations",
            "GET /recommendations/{product_id}",
            "Recommendations time out; the gateway's breaker opens and product pages come without them.",
        ),
        Fault(
            "saga-stuck",
            "orders",
            "process orders.events",
            "Orders takes the news of a shipment and forgets it: paid orders are never finished.",
        ),
        Fault(
            "memory-leak",
            "accounts",
            "process usage",
            "Each request keeps 1 MB for ever; the lines `process usage` show it grow.",
        ),
    )
}
"""All there are, by name."""
