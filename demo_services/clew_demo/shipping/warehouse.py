"""The warehouse as shipping sees it: asked over HTTP, asked again when it stumbles."""

from collections.abc import Sequence
from typing import Any

import httpx
import stamina

from clew_demo.shipping.models import Line

TIMEOUT_S = 1
ATTEMPTS = 3
GIVE_UP_S = 2


class UnknownProduct(Exception):
    """The warehouse has no shelf for it; asking again will not help."""


class Warehouse:
    """Picks things and puts them back. Both can be asked for twice. Blocks; raises `httpx.HTTPError` in the end."""

    def __init__(self, url: str, *, attempts: int = ATTEMPTS) -> None:
        self._attempts = attempts
        self._client = httpx.Client(base_url=url, timeout=TIMEOUT_S, trust_env=False)

    def pick(self, order_id: str, lines: Sequence[Line]) -> str:
        """Have the things of an order fetched; the ID of the pick. Raises `UnknownProduct`."""
        body = {"order_id": order_id, "lines": [line.model_dump() for line in lines]}
        return str(self._ask("POST", "/picks", json=body)["pick_id"])

    def put_back(self, order_id: str) -> None:
        """Have the things of an order put back, whether or not they were fetched."""
        self._ask("DELETE", f"/picks/{order_id}")

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        for attempt in stamina.retry_context(on=_may_help, attempts=self._attempts, timeout=GIVE_UP_S):
            with attempt:
                response = self._client.request(method, path, **options)
                if response.status_code == 404:
                    raise UnknownProduct(response.json()["detail"])
                return response.raise_for_status().json()
        raise AssertionError("the loop above returns or raises")


def _may_help(error: Exception) -> bool:
    """Whether to ask again: not when the warehouse understood and said no."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.is_server_error
    return isinstance(error, httpx.TransportError)
