"""`/healthz` and `/readyz`: whether to restart a collector, and whether to send it anything."""

import httpx
import pytest
from fastapi import FastAPI

from clew_collector.errors import StoreUnavailable
from clew_server.probes import FULL_SHARE, MAX_AGE_S, router
from clew_server.snapshot import Snapshot
from tests.dashboards.asking import Asking
from tests.server.snapshots import a_reader, a_snapshot, waiting


def ask(path: str, snapshot: Snapshot) -> httpx.Response:
    app = FastAPI()
    app.include_router(router(lambda: snapshot))
    return Asking(app).get(path)


def test_a_collector_that_fares_well_is_ready() -> None:
    nearly = a_snapshot(spool=waiting(9, bytes=int(FULL_SHARE * 1_000) - 1, age_s=MAX_AGE_S))

    for snapshot in (a_snapshot(), nearly):
        answer = ask("/readyz", snapshot)
        assert (answer.status_code, answer.text) == (200, "ready\n")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"spool": waiting(bytes=950)}, "the spool is full: 950 of 1000 bytes\n"),
        ({"spool": waiting(age_s=MAX_AGE_S + 1)}, "the oldest payload has waited for 301 s, more than 300\n"),
        (
            {"readers": (a_reader(), a_reader("zipkin", outage="refused\nthere"))},
            "zipkin is not writable: refused there\n",
        ),
    ],
)
def test_each_reason_against_it_is_a_line(changed: dict[str, object], reason: str) -> None:
    answer = ask("/readyz", a_snapshot(**changed))

    assert (answer.status_code, answer.text) == (503, reason)


def test_all_reasons_are_said() -> None:
    answer = ask("/readyz", a_snapshot(spool=waiting(bytes=1_000, age_s=400), readers=(a_reader(outage="disk full"),)))

    assert len(answer.text.splitlines()) == 3


def test_a_store_that_cannot_be_asked_is_alive_and_not_ready() -> None:
    def take() -> Snapshot:
        raise StoreUnavailable("the file\nis gone")

    app = FastAPI()
    app.include_router(router(take))

    assert Asking(app).get("/healthz").text == "ok\n"
    assert Asking(app).get("/readyz").status_code == 503
    assert Asking(app).get("/readyz").text == "the store cannot be asked: the file is gone\n"


def test_metrics_are_what_prometheus_expects() -> None:
    answer = ask("/metrics", a_snapshot())

    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "clew_stored_records" in answer.text
