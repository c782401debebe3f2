"""Which messages a service has processed: the same one delivered again has no second effect."""

import time

from clew_demo.sqlite import Statements


class Inbox:
    """Messages that have had their effect. They are remembered for a week: none is on its way for longer."""

    SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
    message_id TEXT PRIMARY KEY,
    processed_s REAL NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS inbox_processed ON inbox (processed_s);
CREATE TRIGGER IF NOT EXISTS inbox_forgets AFTER INSERT ON inbox BEGIN
    DELETE FROM inbox WHERE processed_s < NEW.processed_s - 604800;
END;
"""

    @staticmethod
    def is_new(statements: Statements, message_id: str) -> bool:
        """Note that a message has its effect in this transaction; false if it had it before."""
        query = """
            INSERT INTO inbox (message_id, processed_s) VALUES (:message_id, :processed_s)
            ON CONFLICT (message_id) DO NOTHING RETURNING message_id
        """
        return bool(statements.execute(query, {"message_id": message_id, "processed_s": time.time()}))
