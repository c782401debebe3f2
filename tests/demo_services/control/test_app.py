from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from clew_demo.control.app import create_app
from clew_demo.faults.catalogue import FAULTS
from clew_demo.faults.switchboard import Switchboard


@pytest.fixture
def faults(tmp_path: Path) -> Switchboard:
    return Switchboard(tmp_path)


@pytest.fixture
def control(faults: Switchboard) -> Iterator[TestClient]:
    with TestClient(create_app(faults, dashboard_url="http://127.0.0.1:8840")) as client:
        yield client


def listed(control: TestClient) -> dict[str, int | None]:
    """Since when, by name."""
    answer: httpx.Response = control.get("/faults?format=json")
    return {fault["name"]: fault["since_ns"] for fault in answer.json()["faults"]}


def test_the_truth_about_every_fault_is_there_as_data(control: TestClient) -> None:
    found = control.get("/faults?format=json").json()["faults"]

    assert [fault["name"] for fault in found] == list(FAULTS)
    assert found[0] == {
        "name": "slow-database",
        "service": "inventory",
        "operation": "UPDATE products",
        "effect": FAULTS["slow-database"].effect,
        "since_ns": None,
    }


def test_a_fault_is_planted_and_lifted_over_http(control: TestClient, faults: Switchboard) -> None:
    planted = control.put("/faults/clock-skew")

    assert planted.json() == {"name": "clock-skew", "since_ns": faults.planted()["clock-skew"]}
    assert listed(control)["clock-skew"] == planted.json()["since_ns"]

    assert control.delete("/faults/clock-skew").json() == {"name": "clock-skew", "was_planted": True}
    assert control.delete("/faults/clock-skew").json() == {"name": "clock-skew", "was_planted": False}
    assert faults.planted() == {}


def test_buttons_plant_and_lift_and_lead_back_to_the_page(control: TestClient, faults: Switchboard) -> None:
    shown = control.post("/faults/clock-skew/plant")

    assert shown.url.path == "/faults"
    assert "1 of 14 faults is planted, in accounts." in shown.text
    assert list(faults.planted()) == ["clock-skew"]

    control.post("/faults/slow-database/plant")
    assert "2 of 14 faults are planted, in accounts and inventory." in control.get("/faults").text
    control.post("/faults/clock-skew/lift")
    assert list(faults.planted()) == ["slow-database"]

    assert "Nothing is planted" in control.post("/faults/lift-all").text
    assert faults.planted() == {}


def test_a_planted_fault_leads_to_its_requests_in_the_dashboard(control: TestClient) -> None:
    assert "/requests?service=" not in control.get("/faults").text

    control.put("/faults/clock-skew")

    assert "http://127.0.0.1:8840/requests?service=accounts&amp;from=2" in control.get("/faults").text


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_fault_that_is_not_known_is_a_problem(control: TestClient, method: str) -> None:
    answer = control.request(method, "/faults/no-such")

    assert answer.status_code == 404
    assert answer.json()["code"] == "unknown_fault"


def test_a_page_of_another_site_cannot_plant_faults(control: TestClient, faults: Switchboard) -> None:
    answer = control.post("/faults/clock-skew/plant", headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403
    assert answer.json()["code"] == "cross_site"
    assert faults.planted() == {}


def test_it_is_healthy(control: TestClient) -> None:
    assert control.get("/healthz").status_code == 200
    assert control.get("/").url.path == "/faults"
