"""The events of all orders, in the order in which they have happened; nothing here is ever changed."""

import json
import sqlite3

import clew
from clew_demo.orders.events import Event
from clew_demo.sqlite import Statements

SCHEMA = """
CREATE TABLE IF NOT EXISTS order_events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    at_s REAL NOT NULL,
    headers TEXT NOT NULL,
    UNIQUE (order_id, version)
) STRICT;
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL
) STRICT;
"""


class Conflict(Exception):
    """Something else has happened to the order meanwhile: look at it again."""


def append(statements: Statements, order_id: str, event: Event, *, version: int, at_s: float) -> None:
    """Add the event that makes an order's `version`, and which request it was. Raises `Conflict`."""
    query = """
        INSERT INTO order_events (order_id, version, name, body, at_s, headers)
        VALUES (:order_id, :version, :name, :body, :at_s, :headers)
    """
    row = {"order_id": order_id, "version": version, "name": event.name, "at_s": at_s}
    try:
        statements.execute(
            query, {**row, "body": json.dumps(event.body), "headers": json.dumps(clew.outgoing_headers())}
        )
    except sqlite3.IntegrityError as error:
        raise Conflict(f"order {order_id} has a version {version} already") from error


def events_of(statements: Statements, order_id: str) -> list[Event]:
    """What has happened to an order."""
    query = "SELECT name, body FROM order_events WHERE order_id = :order_id ORDER BY version"
    return [as_event(row) for row in statements.execute(query, {"order_id": order_id})]


def first_headers_of(statements: Statements, order_id: str) -> dict[str, str]:
    """The headers of the request that placed an order."""
    query = "SELECT headers FROM order_events WHERE order_id = :order_id AND version = 1"
    headers: dict[str, str] = json.loads(statements.execute(query, {"order_id": order_id})[0]["headers"])
    return headers


def claim_key(statements: Statements, key: str, order_id: str) -> str:
    """The order that belongs to an idempotency key: the one that was placed with it first."""
    query = """
        INSERT INTO idempotency_keys (key, order_id) VALUES (:key, :order_id)
        ON CONFLICT (key) DO UPDATE SET order_id = order_id RETURNING order_id
    """
    return str(statements.execute(query, {"key": key, "order_id": order_id})[0]["order_id"])


def as_event(row: sqlite3.Row) -> Event:
    """A row of `order_events` as what it says."""
    return Event(row["name"], json.loads(row["body"]))
