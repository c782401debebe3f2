"""Notifications in SQLite: how far each one is, and the replies that are to be sent."""

from pathlib import Path

from clew_demo.messaging.outbox import Outbox
from clew_demo.notifications.models import Requested, Status
from clew_demo.sqlite import Database

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS notifications (
    notification_id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    user TEXT NOT NULL,
    template TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'sent', 'failed')),
    attempts INTEGER NOT NULL
) STRICT;
{Outbox.SCHEMA}
"""


class Notifications:
    """The notifications that were asked for; each is settled once."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path, schema=SCHEMA)

    def attempt(self, wanted: Requested) -> bool:
        """Count an attempt at a notification; false if it is settled."""
        query = """
            INSERT INTO notifications VALUES (:notification_id, :order_id, :user, :template, 'pending', 1)
            ON CONFLICT (notification_id) DO UPDATE SET attempts = attempts + 1 WHERE status = 'pending'
            RETURNING notification_id
        """
        with self.database.write() as statements:
            return bool(statements.execute(query, wanted.model_dump()))

    def settle(self, wanted: Requested, status: Status, *, reply_to: str | None) -> None:
        """Note how a notification ended and have the reply sent, both or neither. Twice is as once."""
        query = """
            UPDATE notifications SET status = :status
            WHERE notification_id = :notification_id AND status = 'pending' RETURNING notification_id
        """
        reply = {"notification_id": wanted.notification_id, "order_id": wanted.order_id, "status": status}
        with self.database.write() as statements:
            was_pending = statements.execute(query, {"status": status, "notification_id": wanted.notification_id})
            if was_pending and reply_to is not None:
                Outbox.add(statements, "notification.settled", reply)

    def find(self, notification_id: str) -> tuple[Status, int] | None:
        """The status of a notification, and the attempts at it so far."""
        query = "SELECT status, attempts FROM notifications WHERE notification_id = :notification_id"
        with self.database.read() as statements:
            rows = statements.execute(query, {"notification_id": notification_id})
        return (rows[0]["status"], rows[0]["attempts"]) if rows else None

    def close(self) -> None:
        """Close the file."""
        self.database.close()
