"""Messages that are kept with the data they are about, and sent once that is committed: neither is there alone."""

# kombu is half typed: what it exports lazily is not seen.
# mypy: disable-error-code="attr-defined"
import json
import sqlite3
import threading
import time
import uuid
from typing import Any

from kombu import Connection

import clew
from clew_demo.messaging.broker import keep_connected
from clew_demo.messaging.events import Message
from clew_demo.messaging.publishing import publish
from clew_demo.sqlite import Database, Statements

LOOK_EVERY_S = 0.1
BATCH = 100
STOP_TIMEOUT_S = 3


class Outbox:
    """Messages of one service that are still to be sent."""

    SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    reply_to TEXT,
    headers TEXT NOT NULL,
    written_s REAL NOT NULL
) STRICT;
"""

    @staticmethod
    def add(statements: Statements, name: str, body: dict[str, Any], *, reply_to: str | None = None) -> str:
        """Have a message sent if the transaction of these statements is committed; its ID."""
        message_id = f"m-{uuid.uuid4().hex}"
        query = """
            INSERT INTO outbox (id, name, body, reply_to, headers, written_s)
            VALUES (:id, :name, :body, :reply_to, :headers, :written_s)
        """
        row = {
            "id": message_id,
            "name": name,
            "body": json.dumps(body),
            "reply_to": reply_to,
            "headers": json.dumps(clew.outgoing_headers()),
            "written_s": time.time(),
        }
        statements.execute(query, row)
        return message_id


class Relay:
    """Sends what is in an outbox, in order, each as a part of the request that wrote it.

    A message is deleted after the broker has confirmed it: a crash between the two sends it twice, never not at all.
    """

    def __init__(self, database: Database, broker_url: str) -> None:
        self._database = database
        self._broker_url = broker_url
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send in a thread of its own, until `stop`."""
        self._thread = threading.Thread(target=self.run, name="outbox-relay", daemon=True)
        self._thread.start()

    def run(self) -> None:
        """Send until `stop`; while the broker is away, messages wait."""
        keep_connected(self._broker_url, self._serve, stopping=self._stopping)

    def stop(self) -> None:
        """Stop after the message that is being sent. Twice is safe."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _serve(self, connection: Connection) -> None:
        while not self._stopping.is_set():
            for row in self._oldest():
                self._relay(connection, row)
                if self._stopping.is_set():
                    return
            self._stopping.wait(LOOK_EVERY_S)

    def _oldest(self) -> list[sqlite3.Row]:
        query = f"SELECT * FROM outbox ORDER BY position LIMIT {BATCH}"
        with self._database.read() as statements:
            return statements.execute(query)

    def _relay(self, connection: Connection, row: sqlite3.Row) -> None:
        message = Message(row["id"], row["name"], json.loads(row["body"]), reply_to=row["reply_to"])
        with clew.processing("outbox", message.name, json.loads(row["headers"]), operation="relay"):
            publish(connection, message)
            with self._database.write() as statements:
                statements.execute("DELETE FROM outbox WHERE position = :position", {"position": row["position"]})
