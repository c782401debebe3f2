"""The real gateway in this process, and tiny neighbours that answer as they are told."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from clew_demo.faults.switchboard import Switchboard
from clew_demo.gateway import neighbours
from clew_demo.gateway.app import create_app
from clew_demo.gateway.database import Views
from clew_demo.gateway.entrance import Entrance
from clew_demo.gateway.neighbours import Neighbours
from clew_demo.gateway.shop import Compartments, Shop
from clew_demo.gateway.tokens import Tokens
from clew_demo.problems import Problem
from clew_demo.resilience.balancing import Balancer, Instance, KnownInstance
from clew_demo.resilience.rate_limit import RateLimit
from tests.demo_services.resilience.neighbours import Network

PRODUCTS = {
    name: {"id": name, "name": name, "category": "tea", "price_cents": 1290}
    for name in ("moka-pot", "tea-sencha", "press-french")
}
TIMEOUT_S = 10


class Accounts:
    """Signs tokens, publishes its keys, counts points."""

    def __init__(self) -> None:
        self.key = a_key()
        self.points: list[dict[str, Any]] = []
        self.is_well = True
        self.keys_asked = 0
        self.app = Starlette(
            routes=[
                Route("/tokens", self._tokens, methods=["POST"]),
                Route("/.well-known/jwks.json", self._jwks),
                Route("/points", self._points, methods=["POST"]),
            ]
        )

    def token(self, user: str = "ada", **claims: Any) -> str:
        now_s = int(time.time())
        claims = {"iss": "accounts", "sub": user, "iat": now_s, "exp": now_s + 600, **claims}
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, claims, self.key)

    async def _tokens(self, request: Request) -> JSONResponse:
        token = self.token((await request.json())["user"])
        return JSONResponse({"token": token, "expires_in_s": 600}, status_code=201)

    async def _jwks(self, request: Request) -> JSONResponse:
        self.keys_asked += 1
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def _points(self, request: Request) -> JSONResponse:
        if not self.is_well:
            return a_problem(503, "accounts_tired")
        wanted = await request.json()
        self.points.append(wanted)
        return JSONResponse({"user": wanted["user"], "points_earned": wanted["total_cents"] // 100, "balance": 99})


class Catalog:
    """An instance of the catalog. It answers with the next of `statuses`, then well."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[str] = []
        self.fails = False
        self.app = Starlette(
            routes=[
                Route("/products", self._products),
                Route("/products/{product_id}", self._product),
                Route("/products/{product_id}/related", self._related),
            ]
        )

    async def _products(self, request: Request) -> JSONResponse:
        return JSONResponse(list(PRODUCTS.values()))

    async def _product(self, request: Request) -> JSONResponse:
        self.asked.append(request.url.path)
        if self.fails:
            return a_problem(500, "internal_error")
        product = PRODUCTS.get(request.path_params["product_id"])
        return JSONResponse(product) if product else a_problem(404, "unknown_product")

    async def _related(self, request: Request) -> JSONResponse:
        return JSONResponse([PRODUCTS["moka-pot"]])


class Recommendations:
    """Recommends one product; keeps silent while it is not well."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_well = True
        self.app = Starlette(routes=[Route("/recommendations/{product_id}", self._recommend)])

    async def _recommend(self, request: Request) -> JSONResponse:
        self.asked += 1
        if not self.is_well:
            await asyncio.Event().wait()
        return JSONResponse({"products": ["press-french"]})


class Orders:
    """Places every order, as soon as it is allowed to."""

    def __init__(self) -> None:
        self.under_way = 0
        self.placed: list[Mapping[str, str]] = []
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.app = Starlette(
            routes=[
                Route("/orders", self._place, methods=["POST"]),
                Route("/orders/{order_id}", self._find),
            ]
        )

    async def _place(self, request: Request) -> JSONResponse:
        wanted = await request.json()
        self.under_way += 1
        await self.may_finish.wait()
        self.placed.append(request.headers)
        return JSONResponse({"id": "o-1", "user": wanted["user"], "state": "paid", "total_cents": 2590}, 201)

    async def _find(self, request: Request) -> JSONResponse:
        return a_problem(404, "unknown_order")


class Inventory:
    """80 of everything, while it is well."""

    is_well = True

    async def stock(self, product_id: str) -> int:
        if not self.is_well:
            raise Problem(503, "inventory_unavailable", "The inventory service cannot be reached.")
        return 80

    async def restock(self) -> int:
        return 7

    async def close(self) -> None:
        """Hold nothing."""


class Nobody:
    """A registry in which nobody is registered."""

    async def instances(self, service: str) -> list[Instance]:
        return []


class GatewayInProcess:
    """The gateway, its neighbours and the network between them."""

    def __init__(
        self, folder: Path, *, rate_limit: RateLimit | None = None, compartments: Compartments | None = None
    ) -> None:
        self.now_s = 1_000_000.0
        self.faults = Switchboard(folder)
        self.catalogs = [Catalog("catalog"), Catalog("catalog-2")]
        self.recommendations, self.inventory = Recommendations(), Inventory()
        self.orders, self.accounts = Orders(), Accounts()
        self.network = self._network()
        behind = self._behind()
        shop = Shop(
            Views(folder / "gateway.db"), behind, compartments=compartments or Compartments(), now_s=lambda: self.now_s
        )
        self.entrance = Entrance(Tokens(behind.accounts, monotonic_s=lambda: self.now_s), rate_limit)
        self.app: FastAPI = create_app(shop, self.entrance)

    def send(self, *requests: httpx.Request) -> list[httpx.Response]:
        """Send requests to the gateway, all at once."""

        async def send_all() -> list[httpx.Response]:
            async with self.client() as client:
                return await asyncio.gather(*map(client.send, requests))

        return asyncio.run(asyncio.wait_for(send_all(), TIMEOUT_S))

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False), base_url="http://gateway"
        )

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.send(httpx.Request("GET", f"http://gateway{path}", headers=headers))[0]

    def a_checkout(self, *, user: str = "ada", **headers: str) -> httpx.Request:
        """A request to buy, with a token of Ada's if no other is given."""
        body = {"user": user, "items": [{"product_id": "tea-sencha"}], "card": "4242424242424242"}
        headers = {"authorization": f"Bearer {self.accounts.token()}", **headers}
        return httpx.Request("POST", "http://gateway/checkout", json=body, headers=headers)

    def check_out(self, **wanted: str) -> httpx.Response:
        return self.send(self.a_checkout(**wanted))[0]

    def _network(self) -> Network:
        apps = {
            **{catalog.name: catalog.app for catalog in self.catalogs},
            "recommendations": self.recommendations.app,
            "orders": self.orders.app,
            "accounts": self.accounts.app,
        }
        return Network(**apps)

    def _behind(self) -> Neighbours:
        instances = [KnownInstance(catalog.name, f"http://{catalog.name}") for catalog in self.catalogs]
        balancer = Balancer("catalog", Nobody(), fallback=instances)
        return Neighbours(
            catalog=neighbours.catalog(balancer, self.faults, network=self.network),
            recommendations=neighbours.recommendations("http://recommendations", network=self.network),
            orders=neighbours.orders("http://orders", network=self.network),
            accounts=neighbours.accounts("http://accounts", network=self.network),
            inventory=self.inventory,
        )


def a_key() -> ECKey:
    return ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


def a_problem(status: int, code: str) -> JSONResponse:
    return JSONResponse({"status": status, "code": code, "detail": "So it is."}, status_code=status)
