"""The health page with a collector behind it: what a person and a script are told."""

import re

from clew_collector.model import Counts
from clew_dashboards.app import create_app
from clew_dashboards.health import DeadLetterHealth, Health, ReaderHealth, ServiceHealth, SourceHealth
from clew_dashboards.views.health import Cell, Row, Table, health_page
from tests.dashboards.asking import Asking
from tests.dashboards.memory_store import MemoryStore


def a_health(**changed: object) -> Health:
    fields: dict[str, object] = {
        "stored": Counts(3, 2),
        "accepted": {"logs": 3, "traces": 2},
        "refused": {},
        "dropped": {},
        "sources": (SourceHealth("otlp_http", accepted={"logs": 3, "traces": 2}),),
        "services": (ServiceHealth("orders", logs=3, spans=2),),
        "readers": (ReaderHealth("store", lag_s={"logs": 0.25}),),
    }
    return Health(**fields | changed)  # type: ignore[arg-type]


def table(health: Health, title: str) -> Table:
    [found] = [table for table in health_page(health).tables if title in table.title]
    return found


def texts(row: Row) -> list[str]:
    return [row.name, *[cell.text for cell in row.cells]]


def test_receivers_come_first_and_each_reason_is_below_its_receiver_the_largest_first() -> None:
    zipkin = SourceHealth("zipkin", {"traces": 1200}, {"traces": 7}, {"traces: too large": 2, "other: no key": 30}, {})
    health = a_health(sources=(SourceHealth("store", dropped={"logs: poison payload": 5}), zipkin))

    first, second = table(health, "By receiver").rows

    assert texts(first) == ["zipkin", "0", "1,200", "7", "32", "0"]
    assert [note.text for note in first.notes] == ["30 refused: no key", "2 refused: spans: too large"]
    assert texts(second) == ["store", "-", "-", "-", "-", "5"]
    assert [note.text for note in second.notes] == ["5 dropped: logs: poison payload"]


def test_a_reader_says_what_waits_how_late_it_is_and_why_it_takes_nothing() -> None:
    readers = (
        ReaderHealth("store", 1200, 5_000_000, 90.0, {"logs": 61.0, "traces": 0.5}, outage="disk full"),
        ReaderHealth("elasticsearch"),
    )

    store, elasticsearch = table(a_health(readers=readers), "Waiting").rows

    assert texts(store) == ["store", "1,200", "5 MB", "1 min 30 s", "1 min 1 s", "500 ms"]
    assert [cell.tone for cell in store.cells] == ["", "", "warn", "warn", ""]
    assert store.notes == (Cell("disk full", "error"),)
    assert texts(elasticsearch) == ["elasticsearch", "0", "-", "-", "-", "-"]


def test_services_beyond_those_named_are_one_line() -> None:
    health = a_health(other_services=ServiceHealth("12 others", logs=40, spans=0))

    assert [texts(row) for row in table(health, "by service").rows] == [["orders", "3", "2"], ["12 others", "40", "0"]]


def test_an_outage_is_said_first_and_each_other_trouble_after_it() -> None:
    readers = (ReaderHealth("store", outage="disk full"),)
    page = health_page(a_health(readers=readers, oldest_age_s=90.0, refused={"logs: spool full": 3}))

    assert page.sentence == "The store takes nothing now, and what comes waits in the spool."
    assert page.tone == "error"
    assert page.also == ("The oldest payload has waited 1 min 30 s to be stored.", "3 refused (logs: spool full).")


def test_what_takes_nothing_is_called_by_its_name() -> None:
    page = health_page(a_health(readers=(ReaderHealth("store"), ReaderHealth("es-2", outage="no answer"))))

    assert page.sentence == "The sink es-2 takes nothing now, and what comes waits in the spool."


def test_a_sentence_names_three_reasons_and_counts_the_rest() -> None:
    refused = {f"logs: reason {n}": n for n in range(1, 7)}

    assert (
        "(logs: reason 6, logs: reason 5, logs: reason 4 and 3 more)" in health_page(a_health(refused=refused)).sentence
    )


def test_what_the_settings_leave_out_is_no_trouble() -> None:
    health = a_health(
        dropped={"logs: not sampled": 90},
        left_out={"logs: not sampled": 90},
        sources=(SourceHealth("sample", dropped={"logs: not sampled": 90}),),
    )
    page = health_page(health)

    assert page.calm
    assert "nothing was refused or dropped but what the settings leave out" in page.sentence
    assert table(health, "By receiver").rows[0].cells[-1] == Cell("90")


def test_dead_letters_are_told_with_the_command_that_lists_them() -> None:
    letters = DeadLetterHealth(count=2, bytes=1_500, oldest_age_s=7_200, last_reason="cannot be stored: <odd>")
    asked = Asking(create_app(MemoryStore(), health=lambda: a_health(dead_letters=letters)))

    text = asked.get("/health").text

    assert "2 payloads could not be stored and wait here (1.5 kB, the oldest 2 h old)" in text
    assert "Last: cannot be stored: &lt;odd&gt;" in text
    assert "<code>clew deadletter list</code>" in text
    assert "clew deadletter" not in Asking(create_app(MemoryStore(), health=a_health)).get("/health").text


def test_the_json_twin_has_it_all_by_name() -> None:
    sources = (SourceHealth("syslog", {"logs": 9}, {}, {"logs: bad": 1}, {"logs: lost": 2}),)
    health = a_health(sources=sources, readers=(ReaderHealth("store", 1, 10, 2.0, {"logs": 0.25}, {"logs": 3}),))

    form = Asking(create_app(MemoryStore(), health=lambda: health)).get("/health?format=json").json()

    assert form["sources"] == {
        "syslog": {"accepted": {"logs": 9}, "duplicate": {}, "refused": {"logs: bad": 1}, "dropped": {"logs: lost": 2}}
    }
    assert form["services"] == {"orders": {"logs": 3, "spans": 2}}
    assert form["readers"] == {
        "store": {
            "payloads": 1,
            "bytes": 10,
            "oldest_age_s": 2.0,
            "lag_s": {"logs": 0.25},
            "stored": {"logs": 3},
            "outage": None,
        }
    }


def test_the_part_that_renews_itself_is_what_the_page_shows_and_nothing_around_it() -> None:
    asked = Asking(create_app(MemoryStore(), health=a_health))
    page, part = asked.get("/health").text, asked.get("/health?part=numbers").text

    assert part.strip() in page
    assert "<html" not in part
    assert re.search(r'hx-get="/health\?part=numbers"', page)
