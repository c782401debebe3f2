import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo_services.neighbours.processes import CALLER, TRACE_ID, RunningService, running_service

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")

IDS = f"request_id={CALLER['X-Request-ID']} trace={TRACE_ID}"


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service("warehouse", tmp_path_factory.mktemp("warehouse")) as service:
        yield service


def pick(order_id: str, product_id: str = "moka-pot") -> dict[str, object]:
    return {"order_id": order_id, "lines": [{"product_id": product_id, "quantity": 2}]}


def log_of(warehouse: RunningService) -> str:
    return (warehouse.data / "logs" / "warehouse.log").read_text()


def test_a_line_has_the_callers_ids_in_its_text(warehouse: RunningService) -> None:
    warehouse.post("/picks", pick("o-line"))

    line = next(line for line in log_of(warehouse).splitlines() if "o-line" in line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO  \[http-\d+\] .*", line)
    assert line.endswith(f"picks: picked order=o-line lines=1 {IDS}")


def test_a_failed_pick_leaves_its_stack_under_a_line_with_ids(warehouse: RunningService) -> None:
    failed = warehouse.post("/picks", pick("o-stack", "unicorn"))

    assert (failed.status_code, failed.json()["code"]) == (404, "unknown_product")
    after = log_of(warehouse).partition("cannot pick order=o-stack ")[2].splitlines()
    assert after[:2] == [IDS, "Traceback (most recent call last):"]
    assert "KeyError: 'unicorn'" in after


def test_without_a_caller_who_has_ids_a_line_has_dashes(warehouse: RunningService) -> None:
    awkward = {"X-Request-ID": "two words", "traceparent": "00-nonsense"}

    warehouse.post("/picks", pick("o-dashes"), headers=awkward)

    assert "order=o-dashes lines=1 request_id=- trace=-" in log_of(warehouse)


def test_an_order_is_picked_once(warehouse: RunningService) -> None:
    first, second = (warehouse.post("/picks", pick("o-once")).json() for _ in range(2))

    assert first["pick_id"] == second["pick_id"]


def test_a_pick_is_put_back_once_and_may_be_missing(warehouse: RunningService) -> None:
    warehouse.post("/picks", pick("o-back"))

    answers = [warehouse.delete("/picks/o-back") for _ in range(2)]

    assert [answer.json()["was_picked"] for answer in answers] == [True, False]
    assert {answer.status_code for answer in answers} == {200}


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"order_id": "o-1", "lines": []},
        {"order_id": "o-1", "lines": [{"product_id": "moka-pot", "quantity": 0}]},
        {"order_id": "o-1\n2026-11-21 15:00:01,123 INFO forged", "lines": pick("o-1")["lines"]},
    ],
)
def test_what_is_no_pick_is_refused(warehouse: RunningService, body: object) -> None:
    assert warehouse.post("/picks", body).status_code == 422
    assert "forged" not in log_of(warehouse)


def test_picks_outlast_a_restart(tmp_path: Path) -> None:
    with running_service("warehouse", tmp_path) as service:
        before = service.post("/picks", pick("o-1")).json()
        service.process.kill()
        service.process.wait()
    with running_service("warehouse", tmp_path) as service:
        after = service.post("/picks", pick("o-1")).json()

    assert before == after
