"""What headers, lists and panels say."""

import pytest

from clew_collector.model import Counts, Page, SpanEvent
from clew_dashboards.filters import read_filters
from clew_dashboards.health import Health
from clew_dashboards.palette import HUES, Palette
from clew_dashboards.views.details import MAX_VALUE_CHARS, details
from clew_dashboards.views.health import health_page
from clew_dashboards.views.request import header
from clew_dashboards.views.requests import lines, request_list
from clew_dashboards.views.values import event_text, type_name, value_text
from clew_dashboards.views.waterfall import waterfall
from clew_dashboards.wording import duration_text, offset_text, size_text, utc_text
from tests.dashboards.builders import START_NS, a_log, a_request, a_span, a_summary, an_exception

A = "a" * 16
NOW_NS = START_NS


def one_hue(service: str) -> int:
    return 1


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0 ns"),
        (812_000, "812 µs"),
        (3_200_000, "3.2 ms"),
        (999_999_999, "1 s"),
        (2_410_000_000, "2.41 s"),
        (59_999_999_999, "1 min"),
        (192_000_000_000, "3 min 12 s"),
        (7_200_000_000_000, "2 h"),
        (100_000_000_000_000, "1 d 3 h"),
        (-5_000_000, "-5 ms"),
    ],
)
def test_durations_are_in_the_unit_that_fits(duration_ns: int, text: str) -> None:
    assert duration_text(duration_ns) == text


def test_offsets_sizes_and_moments_read_well() -> None:
    assert [offset_text(ns) for ns in (0, 1_000_000, -1_000_000)] == ["+0", "+1 ms", "-1 ms"]
    assert [size_text(size) for size in (0, 999, 35_000, 1_234_567)] == ["0 bytes", "999 bytes", "35 kB", "1.23 MB"]
    assert utc_text(1_700_000_000_123_456_789) == "2023-11-14T22:13:20.123456789Z"
    assert utc_text(2**63 * 1000) == "time unknown"


def test_the_header_tells_the_reply_from_the_last_effect() -> None:
    server = a_span(
        "POST",
        span_id=A,
        kind="server",
        duration_ms=2410,
        status="error",
        attributes={"http.request.method": "POST", "http.route": "/checkout", "http.response.status_code": 502},
    )
    later = a_span("mail", service="notifications", parent=A, at_ms=2860, duration_ms=160)

    said = header(a_request([server, later], [a_log(severity=17)]), hue_of=one_hue)

    assert (said.name, said.status, said.status_tone) == ("POST /checkout", "502", "error")
    assert (said.reply, said.last_effect) == ("2.41 s", "3.02 s")
    assert (said.failed_span_count, said.error_log_count) == (1, 1)
    assert [(line.name, line.errors) for line in said.services] == [("orders", 2), ("notifications", 0)]


def test_the_header_of_lines_only_claims_no_reply() -> None:
    said = header(a_request([], [a_log(at_ms=1), a_log(at_ms=5)]), hue_of=one_hue)

    assert (said.name, said.reply, said.last_effect) == ("log lines only", "", "4 ms")


def test_a_request_without_codes_that_failed_says_error() -> None:
    assert header(a_request([a_span(status="error")]), hue_of=one_hue).status == "error"


def test_up_to_eight_services_never_share_a_hue() -> None:
    palette = Palette(f"service-{number}" for number in range(HUES))

    assert len({palette.hue(f"service-{number}") for number in range(HUES)}) == HUES


def test_a_hue_stays_when_services_are_added() -> None:
    palette = Palette(["orders"])
    before = palette.hue("orders")

    palette.meet(f"service-{number}" for number in range(50))

    assert palette.hue("orders") == before
    assert Palette(["orders"]).hue("orders") == before


def test_lines_name_three_services_first_the_one_asked() -> None:
    (line,) = lines([a_summary(services=("a", "b", "c", "orders", "z"))], hue_of=one_hue)

    assert [mark.name for mark in line.services] == ["orders", "a", "b"]
    assert line.more_services == 2


def test_longer_requests_have_longer_bars() -> None:
    shown = lines([a_summary(duration_ns=10**power) for power in range(12)], hue_of=one_hue)

    bars = [line.bar_percent for line in shown]
    assert bars == sorted(bars)
    assert (bars[0], bars[-1]) == (2.0, 100.0)


def test_a_slice_further_down_is_not_live() -> None:
    filters = read_filters({"cursor": "x", "service": "orders"}, now_ns=NOW_NS)

    page = Page(items=(a_summary(),), next="y")
    shown = request_list(page, filters=filters, hue_of=one_hue, services=(), nothing_stored=False)

    assert shown.live_href == ""
    assert shown.newest_href == "/requests?service=orders"
    assert shown.older_href == "/requests?service=orders&cursor=y"


def test_filters_are_told_in_words() -> None:
    filters = read_filters({"service": "orders", "error": "true", "min_duration_ms": "5"}, now_ns=NOW_NS)

    shown = request_list(Page(items=()), filters=filters, hue_of=one_hue, services=(), nothing_stored=False)

    assert shown.narrowing == ("through orders", "at least 5 ms", "with errors")


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        ("x", "string", "x"),
        (True, "bool", "true"),
        (7, "int", "7"),
        (1.5, "double", "1.5"),
        (float("nan"), "double", "NaN"),
        (b"\x00\xff", "bytes", "AP8="),
        ([1, "a"], "array", '[1, "a"]'),
        ({"k": [None]}, "map", '{"k": [null]}'),
        (None, "empty", ""),
    ],
)
def test_values_keep_their_type_and_read_as_text(value: object, type_: str, text: str) -> None:
    assert type_name(value) == type_  # type: ignore[arg-type]
    assert value_text(value) == text  # type: ignore[arg-type]


def test_a_long_value_is_cut_and_its_length_told() -> None:
    request = a_request([a_span(attributes={"body": "x" * 1_000_000})])

    said = details(request, waterfall(request, hue_of=one_hue))

    [[key, type_, text, length]] = said["rows"][0]["attributes"]
    assert (key, type_, len(text), length) == ("body", "string", MAX_VALUE_CHARS, 1_000_000)


def test_equal_resources_are_sent_once() -> None:
    request = a_request([a_span(), a_span(at_ms=1), a_span(service="other", at_ms=2)])

    said = details(request, waterfall(request, hue_of=one_hue))

    assert len(said["resources"]) == 2
    assert [row["resource"] for row in said["rows"]] == [0, 0, 1]


def test_the_stack_trace_is_apart_from_the_attributes() -> None:
    request = a_request([a_span(events=[an_exception("ValueError", "no", stack="Traceback\n  here")])])

    _, event = details(request, waterfall(request, hue_of=one_hue))["rows"]

    assert event["stack"][2] == "Traceback\n  here"
    assert [attribute[0] for attribute in event["attributes"]] == ["exception.type", "exception.message"]


def a_health(**changed: object) -> Health:
    fields: dict[str, object] = {"stored": Counts(1, 1), "accepted": {}, "refused": {}, "dropped": {}}
    return Health(**fields | changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("health", "calm", "word"),
    [
        (a_health(), True, "all that was accepted is stored"),
        (a_health(stored=Counts(0, 0)), True, "nothing has arrived yet"),
        (a_health(spool_payloads=1, oldest_age_s=0.5), True, "1 payload on the way"),
        (a_health(refused={"too_large": 3}), False, "3 refused (too large)"),
        (a_health(dropped={"spool_full": 2000}), False, "2,000 dropped (spool full)"),
        (a_health(spool_payloads=1, oldest_age_s=300.0), False, "waited 5 min"),
    ],
)
def test_health_has_a_sentence(health: Health, calm: bool, word: str) -> None:
    page = health_page(health)

    assert page.calm is calm
    assert word in page.sentence


def test_an_outgoing_call_says_where_it_went_and_nothing_else_does() -> None:
    url = {"url.full": "http://payments:8853/payments/17?card=1"}
    rows = waterfall(
        a_request([a_span("POST", kind="client", attributes=url), a_span("GET /x", kind="server", attributes=url)], []),
        hue_of=one_hue,
    ).rows

    assert [row.fields for row in rows] == ["payments:8853/payments/17", ""]


def test_an_exception_is_named_without_its_module() -> None:
    event = SpanEvent(
        time_ns=START_NS,
        name="exception",
        attributes={"exception.type": "shop.errors.Declined", "exception.message": "no funds"},
    )

    assert event_text(event, max_chars=100) == "Declined: no funds"
