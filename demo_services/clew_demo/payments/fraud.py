"""The fraud check, a neighbour that payments can do without."""

import httpx
import structlog

from clew_demo.payments.models import Charge

TIMEOUT_S = 0.3

log = structlog.get_logger()


class FraudCheck:
    """Asks for a verdict on each payment. A suspicious one is looked at by a person later, it is not held up."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        # Neighbours are not behind the proxy of the outer world.
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, transport=transport, trust_env=False)

    def look_at(self, charge: Charge) -> None:
        """Have a payment checked. A check that cannot be had is done without."""
        check = {"order_id": charge.order_id, "amount_cents": charge.amount_cents}
        try:
            verdict = self._client.post("/checks", json=check).raise_for_status().json()["verdict"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            log.warning("fraud check skipped", order_id=charge.order_id, reason=repr(error))
            return
        if verdict == "suspicious":
            log.warning("payment is suspicious", **check)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()
