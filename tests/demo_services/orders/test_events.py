from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew_demo.orders import read_model
from clew_demo.orders.database import Orders
from clew_demo.orders.events import HAPPENS_IN, STATE_AFTER, Event, Name, NotPossible, apply, fold
from clew_demo.orders.models import Order

BODIES: dict[Name, dict[str, Any]] = {
    "placed": {"user": "ada", "correlation_id": "r-1"},
    "reserved": {
        "lines": [{"product_id": "tea-sencha", "name": "Sencha", "quantity": 2, "unit_cents": 1290}],
        "total_cents": 2580,
    },
    "paid": {},
    "shipped": {"tracking": "T-1"},
    "notified": {"status": "sent"},
    "cancelling": {"reason": "no_stock"},
    "failed": {},
}


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Any events that can happen to one order, one after the other."""
    events = [Event("placed", BODIES["placed"])]
    state = "pending"
    for _ in range(draw(st.integers(0, 8))):
        possible = [name for name, states in HAPPENS_IN.items() if state in states]
        if not possible:
            break
        name = draw(st.sampled_from(possible))
        events.append(Event(name, BODIES[name]))
        state = STATE_AFTER.get(name, state)
    return events


def record_all(orders: Orders, stories: dict[str, list[Event]], turns: list[str]) -> None:
    """Have all happen, in turns."""
    left = {order_id: iter(story) for order_id, story in stories.items()}
    seen: dict[str, Order] = {}
    for order_id in turns + [each for each, story in stories.items() for _ in story]:
        event = next(left[order_id], None)
        if event is None:
            continue
        if event.name == "placed":
            new = Order(id=order_id, user="ada", state="pending", correlation_id="r-1")
            seen[order_id] = orders.place(new, idempotency_key=None)
        else:
            seen[order_id] = orders.record(seen[order_id], event)


def rows(orders: Orders) -> list[dict[str, Any]]:
    with orders.database.read() as statements:
        return [dict(row) for row in statements.execute("SELECT * FROM orders ORDER BY id")]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), stories=st.lists(histories(), min_size=1, max_size=3), batch=st.integers(1, 4))
def test_whatever_happens_the_read_model_is_what_the_events_fold_to(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, stories: list[list[Event]], batch: int
) -> None:
    named = {f"o-{n}": story for n, story in enumerate(stories)}
    turns = data.draw(st.lists(st.sampled_from(sorted(named)), max_size=20))
    orders = Orders(tmp_path_factory.mktemp("folded") / "orders.db", now_s=lambda: 1.0)
    record_all(orders, named, turns)

    for order_id, story in named.items():
        assert orders.find(order_id) == orders.load(order_id) == fold(order_id, story)

    projected = rows(orders)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(read_model, "BATCH", batch)
        orders.read_model.rebuild()
    assert rows(orders) == projected
    orders.close()


def test_a_read_model_that_was_lost_is_rebuilt_from_the_events(tmp_path: Path) -> None:
    orders = Orders(tmp_path / "orders.db")
    record_all(orders, {"o-1": [Event(name, BODIES[name]) for name in ("placed", "reserved", "paid")]}, [])
    before = orders.find("o-1")
    with orders.database.write() as statements:
        statements.execute("UPDATE orders SET state = 'failed', total_cents = 1")

    orders.read_model.rebuild()

    assert before is not None
    assert orders.find("o-1") == before


def test_events_that_a_killed_process_did_not_project_are_projected_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = Orders(tmp_path / "orders.db")
    with monkeypatch.context() as killed:
        killed.setattr(orders.read_model, "catch_up", lambda: None)
        record_all(orders, {"o-1": [Event("placed", BODIES["placed"])]}, [])
    assert orders.find("o-1") is None
    orders.close()

    restarted = Orders(tmp_path / "orders.db")

    assert restarted.find("o-1") == restarted.load("o-1") is not None


@pytest.mark.parametrize("name", ["paid", "shipped", "cancelling", "reserved"])
def test_what_cannot_happen_to_an_order_is_refused(name: Name) -> None:
    failed = fold("o-1", [Event(each, BODIES[each]) for each in ("placed", "cancelling", "failed")])

    with pytest.raises(NotPossible, match=f"order o-1 is failed: {name} cannot happen"):
        apply(failed, Event(name, BODIES[name]), order_id="o-1")
