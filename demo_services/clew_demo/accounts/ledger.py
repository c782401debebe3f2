"""Users and their points, in SQLite: an order earns once, and gives back once, whatever is asked how often."""

from pathlib import Path

from clew_demo.accounts.models import Account, Cancellation, Earned, Purchase
from clew_demo.messaging.inbox import Inbox
from clew_demo.sqlite import Database, Statements

CENTS_PER_POINT = 100

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    user TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS earnings (
    order_id TEXT PRIMARY KEY,
    user TEXT NOT NULL,
    points INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('earned', 'taken back'))
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS earnings_by_user ON earnings (user, state, points);
"""


class Ledger:
    """The only place where points are. Each call is one transaction.

    Points are earned by a call of the gateway and by a message, whichever comes first; what is given back stays given
    back, even where that is heard of before the earning. `message_id` names the message that a call is the effect of:
    the second time it has none.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, schema=SCHEMA + Inbox.SCHEMA)

    def welcome(self, user: str) -> bool:
        """Know a user from now on; false if that was so already."""
        with self._database.write() as statements:
            return _add_user(statements, user)

    def find(self, user: str) -> Account | None:
        """A user, if known."""
        with self._database.read() as statements:
            if not statements.execute("SELECT 1 FROM users WHERE user = :user", {"user": user}):
                return None
            return Account(user=user, points=_balance(statements, user))

    def earn(self, purchase: Purchase, *, message_id: str | None = None) -> Earned:
        """Points for an order, a point a full euro; for an order that has earned before, what it earned then."""
        earn = """
            INSERT INTO earnings VALUES (:order_id, :user, :points, 'earned') ON CONFLICT (order_id) DO NOTHING
        """
        points = purchase.total_cents // CENTS_PER_POINT
        with self._database.write() as statements:
            if _is_new(statements, message_id):
                _add_user(statements, purchase.user)
                statements.execute(earn, {"order_id": purchase.order_id, "user": purchase.user, "points": points})
            earned = _points_of(statements, purchase.order_id)
            return Earned(user=purchase.user, points_earned=earned, balance=_balance(statements, purchase.user))

    def take_back(self, cancellation: Cancellation, *, message_id: str | None = None) -> int:
        """Take back what an order earned, and keep it from earning later; how many points that was, this time."""
        mark = """
            INSERT INTO earnings VALUES (:order_id, :user, 0, 'taken back')
            ON CONFLICT (order_id) DO UPDATE SET state = 'taken back'
        """
        with self._database.write() as statements:
            if not _is_new(statements, message_id):
                return 0
            points = _points_of(statements, cancellation.order_id)
            statements.execute(mark, {"order_id": cancellation.order_id, "user": cancellation.user})
            return points

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _is_new(statements: Statements, message_id: str | None) -> bool:
    return message_id is None or Inbox.is_new(statements, message_id)


def _add_user(statements: Statements, user: str) -> bool:
    query = "INSERT INTO users VALUES (:user) ON CONFLICT (user) DO NOTHING RETURNING user"
    return bool(statements.execute(query, {"user": user}))


def _points_of(statements: Statements, order_id: str) -> int:
    """What an order has earned and not given back."""
    query = "SELECT points FROM earnings WHERE order_id = :order_id AND state = 'earned'"
    return sum(row["points"] for row in statements.execute(query, {"order_id": order_id}))


def _balance(statements: Statements, user: str) -> int:
    query = "SELECT coalesce(sum(points), 0) AS balance FROM earnings WHERE user = :user AND state = 'earned'"
    return int(statements.execute(query, {"user": user})[0]["balance"])
