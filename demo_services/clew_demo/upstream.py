"""A neighbouring service, asked over HTTP; whatever goes wrong there is a `Problem` here."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from clew_demo.problems import Problem
from clew_demo.resilience.breaker import CircuitOpen

CONNECT_TIMEOUT_S = 1


class Upstream:
    """One service that this one depends on. clew carries the request's IDs on in every call.

    No call takes longer than `timeout_s`, whatever its transport does meanwhile: retries, or another instance.
    """

    def __init__(
        self, service: str, url: str, *, timeout_s: float, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.service = service
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S),
            transport=transport,
            trust_env=False,  # neighbours are not behind the proxy of the outer world
        )

    async def get(self, path: str) -> Any:
        """JSON of a GET. Raises `Problem`."""
        return await self._call("GET", path)

    async def post(self, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """JSON of a POST. Raises `Problem`."""
        return await self._call("POST", path, json=body, headers=headers)

    async def delete(self, path: str) -> Any:
        """JSON of a DELETE. Raises `Problem`."""
        return await self._call("DELETE", path)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.request(method, path, **options)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise self._problem(504, "timeout", "did not answer in time") from error
        except CircuitOpen as error:
            raise self._problem(503, "circuit_open", "failed too often a moment ago and was not asked") from error
        except httpx.ConnectError as error:
            raise self._problem(503, "unavailable", "cannot be reached") from error
        except httpx.HTTPError as error:
            raise self._problem(502, "broken_off", "broke off while it answered") from error
        return self._content(response)

    def _content(self, response: httpx.Response) -> Any:
        try:
            content = response.json()
        except ValueError as error:
            raise self._problem(502, "bad_answer", f"answered {response.status_code} without JSON") from error
        if response.is_success:
            return content
        if response.status_code == 500 or "code" not in content:
            raise self._problem(502, "failed", f"answered {response.status_code}")
        raise Problem(response.status_code, content["code"], content["detail"])

    def _problem(self, status: int, what: str, detail: str) -> Problem:
        return Problem(status, f"{self.service}_{what}", f"The {self.service} service {detail}.")
