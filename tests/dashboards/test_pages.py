"""Pages and their JSON twins, in process."""

import re
from urllib.parse import quote

import httpx
import pytest

from clew_collector.errors import StoreUnavailable
from clew_collector.json_form import request_to_json
from clew_collector.model import Attributes, Counts, Page, Request, RequestSummary
from clew_collector.query import RequestQuery
from clew_dashboards.app import create_app
from clew_dashboards.health import Health
from tests.dashboards.asking import Asking
from tests.dashboards.builders import TRACE_ID, a_log, a_request, a_span
from tests.dashboards.memory_store import MemoryStore, summary_of

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'"


def an_http_request(number: int, *, status: int = 200, service: str = "orders") -> Request:
    span = a_span(
        kind="server",
        service=service,
        at_ms=number * 1000,
        duration_ms=number,
        trace_id=f"{number:032x}",
        status="error" if status >= 500 else "unset",
        attributes={
            "http.request.method": "GET",
            "http.route": f"/things/{number}",
            "http.response.status_code": status,
        },
    )
    return a_request([span], correlation_id=f"req-{number:04}")


def client(*requests: Request, health: Health | None = None) -> Asking:
    return Asking(create_app(MemoryStore(requests), health=(lambda: health) if health else None))


def names_shown(answer: httpx.Response) -> list[str]:
    return re.findall(r'<a href="/requests/[^"]*">([^<]+)</a><span class="dim">', answer.text)


def test_the_root_leads_to_the_requests() -> None:
    answer = client().get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/requests")


def test_requests_are_listed_newest_first() -> None:
    answer = client(an_http_request(1), an_http_request(2)).get("/requests")

    assert answer.status_code == 200
    assert names_shown(answer) == ["GET /things/2", "GET /things/1"]


def test_the_json_twin_of_the_list_has_the_same_values() -> None:
    requests = [an_http_request(1), an_http_request(2, status=500)]

    by_format = client(*requests).get("/requests?format=json").json()
    by_accept = client(*requests).get("/requests", headers={"accept": "application/json"}).json()

    assert by_format == by_accept
    assert by_format["next"] is None
    assert [item["id"] for item in by_format["items"]] == ["req-0002", "req-0001"]
    assert by_format["items"][0]["status_code"] == 500
    assert by_format["items"][0]["duration_ns"] == summary_of(requests[1]).duration_ns


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("service=payments", [3]),
        ("route=things/2", [2]),
        ("status=5xx", [2]),
        ("status=404", [3]),
        ("min_duration_ms=2", [3, 2]),
        ("error=true", [2]),
        ("error=false", [3, 1]),
        ("id=req-000", [3, 2, 1]),
        ("limit=1", [3]),
    ],
)
def test_filters_narrow_page_and_json_alike(query: str, expected: list[int]) -> None:
    asked = client(
        an_http_request(1), an_http_request(2, status=500), an_http_request(3, status=404, service="payments")
    )

    assert names_shown(asked.get(f"/requests?{query}")) == [f"GET /things/{number}" for number in expected]
    items = asked.get(f"/requests?{query}&format=json").json()["items"]
    assert [item["id"] for item in items] == [f"req-{number:04}" for number in expected]


def test_older_requests_are_a_link_away_and_keep_the_filters() -> None:
    asked = client(*(an_http_request(number) for number in range(1, 6)))

    first = asked.get("/requests?limit=2&service=orders")
    older = re.search(r'<a href="([^"]+)" rel="next">', first.text)
    assert older
    second = asked.get(older[1].replace("&amp;", "&"))

    assert names_shown(second) == ["GET /things/3", "GET /things/2"]
    assert "Live is off on older pages" in second.text


def test_bad_values_are_told_on_the_page() -> None:
    answer = client().get("/requests?status=abc&limit=0")

    assert answer.status_code == 422
    assert "must be a code such as 404 or a class such as 5xx" in answer.text
    assert 'value="abc"' in answer.text


def test_bad_values_are_told_in_json() -> None:
    answer = client().get("/requests?limit=0&format=json")

    assert answer.status_code == 422
    assert answer.json()["problems"] == [
        {"parameter": "limit", "message": "must be a whole number from 1 to 1000, got '0'"}
    ]


def test_a_cursor_that_the_store_refuses_is_a_400() -> None:
    page = client().get("/requests?cursor=zz")
    json = client().get("/requests?cursor=zz&format=json")

    assert (page.status_code, json.status_code) == (400, 400)
    assert "cursor must be" in page.text
    assert "cursor must be" in json.json()["error"]


def test_an_empty_store_says_how_to_send() -> None:
    answer = client().get("/requests")

    assert "Nothing has arrived yet" in answer.text
    assert "clew.configure" in answer.text
    assert "clew demo" in answer.text


def test_no_match_names_the_filters_and_offers_to_clear_them() -> None:
    answer = client(an_http_request(1)).get("/requests?service=nowhere&status=404")

    assert "No request matches" in answer.text
    assert "through nowhere" in answer.text
    assert "status 404" in answer.text
    assert '<a href="/requests">Clear' in answer.text


def test_a_whole_id_leads_to_its_request() -> None:
    asked = client(an_http_request(1), an_http_request(2))

    by_correlation = asked.get("/requests?id=req-0001")
    by_trace = asked.get(f"/requests?id={1:032x}")
    by_start = asked.get("/requests?id=req-")

    assert (by_correlation.status_code, by_correlation.headers["location"]) == (303, "/requests/req-0001")
    assert by_trace.headers["location"] == "/requests/req-0001"
    assert by_start.status_code == 200


def test_the_live_part_is_left_alone_when_nothing_changed() -> None:
    asked = client(an_http_request(1))
    part = asked.get("/requests?part=list")
    seen = re.search(r'name="seen" value="(\w+)"', part.text)
    assert seen

    assert "<html" not in part.text
    assert asked.get(f"/requests?part=list&seen={seen[1]}").status_code == 204
    assert asked.get("/requests?part=list&seen=00000000").status_code == 200


def test_a_request_shows_its_spans_and_lines() -> None:
    request = a_request([a_span("charge", span_id="a" * 16)], [a_log("card declined", span_id="a" * 16, severity=17)])

    answer = client(request).get(f"/requests/{TRACE_ID}")

    assert answer.status_code == 200
    assert "charge" in answer.text
    assert "card declined" in answer.text
    assert 'role="treegrid"' in answer.text


def test_the_json_twin_of_a_request_has_all_values() -> None:
    attributes: Attributes = {"n": 2**62, "x": float("inf"), "b": b"\x00", "m": {"k": [1, None]}, "t": True}
    request = a_request([a_span(attributes=attributes)], [a_log()], correlation_id="req-1")

    answer = client(request).get("/requests/req-1?format=json")

    assert answer.json() == request_to_json(request)
    assert answer.json()["spans"][0]["attributes"]["b"] == {"base64": "AA=="}


@pytest.mark.parametrize("id", ["a/b?c=<x>&d#e%f", "später 訂單", "..%2f", "a//b", "{{7*7}}"])
def test_an_id_of_any_characters_is_an_address(id: str) -> None:
    asked = client(a_request([a_span()], correlation_id=id))
    address = f"/requests/{quote(id, safe='')}"

    assert f'href="{address}"' in asked.get("/requests").text
    assert asked.get(f"{address}?format=json").json()["correlation_id"] == id


def test_a_missing_request_says_what_was_looked_for() -> None:
    page = client().get(f"/requests/{quote(HOSTILE, safe='')}")
    json = client().get("/requests/nope?format=json")

    assert (page.status_code, json.status_code) == (404, 404)
    assert "<script>alert" not in page.text
    assert "No such request" in page.text
    assert json.json()["id"] == "nope"
    assert "nope" in json.json()["error"]


def test_what_came_over_the_wire_never_becomes_markup() -> None:
    span = a_span(
        HOSTILE, span_id=HOSTILE, service=HOSTILE, attributes={HOSTILE: HOSTILE}, status="error", status_message=HOSTILE
    )
    request = a_request([span], [a_log(HOSTILE, attributes={HOSTILE: HOSTILE})], correlation_id=HOSTILE)
    asked = client(request)

    pages = [
        asked.get("/requests"),
        asked.get(f"/requests/{quote(HOSTILE, safe='')}"),
        asked.get(f"/requests/{quote(HOSTILE, safe='')}?tab=logs"),
        asked.get(f"/requests?service={quote(HOSTILE)}"),
    ]

    for page in pages:
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img" not in page.text
        assert "</script><" not in page.text.replace("</script>\n<", "")


def test_orphans_and_loops_are_told() -> None:
    request = a_request([a_span("lost", parent="f" * 16), a_span(span_id="a" * 16, parent="a" * 16)])

    answer = client(request).get(f"/requests/{TRACE_ID}")

    assert "1 span whose parent was not received" in answer.text
    assert "1 loop of spans" in answer.text


def test_a_request_too_large_to_show_says_so() -> None:
    request = a_request([a_span(at_ms=at) for at in range(5_001)], correlation_id="big")

    answer = client(request).get("/requests/big")

    assert "The first 5,000 of 5,001 rows are shown" in answer.text
    assert answer.text.count('role="row"') == 5_000


def test_a_tree_of_thousands_of_levels_is_shown() -> None:
    spans = [a_span(span_id=f"{n:016x}", parent=f"{n - 1:016x}" if n else None) for n in range(3_000)]

    assert client(a_request(spans, correlation_id="deep")).get("/requests/deep").status_code == 200


def test_the_logs_tab_lists_lines_by_time() -> None:
    logs = [a_log("second", at_ms=2), a_log("first", at_ms=1, service="gateway")]

    text = client(a_request([a_span()], logs)).get(f"/requests/{TRACE_ID}?tab=logs").text

    assert text.index(">first<") < text.index(">second<")


def test_health_says_what_is_known() -> None:
    health = Health(
        stored=Counts(logs=3, spans=2),
        accepted={"logs": 3, "spans": 2},
        refused={"too_large": 1},
        dropped={},
        duplicate={"logs": 7},
        spool_payloads=4,
        spool_bytes=1000,
        oldest_age_s=1.5,
    )
    asked = client(health=health)

    assert asked.get("/health?format=json").json() == {
        "stored": {"logs": 3, "spans": 2},
        "accepted": {"logs": 3, "spans": 2},
        "duplicate": {"logs": 7},
        "refused": {"too_large": 1},
        "dropped": {},
        "left_out": {},
        "dropped_by_services": {},
        "spool": {"payloads": 4, "bytes": 1000, "oldest_age_s": 1.5},
        "sources": {},
        "services": {},
        "other_services": None,
        "readers": {},
        "dead_letters": {
            "count": 0,
            "bytes": 0,
            "oldest_age_s": None,
            "last_reason": None,
            "see": "clew deadletter list",
        },
    }
    assert "1 refused (too large)" in asked.get("/health").text


def test_lists_for_other_programs_are_json_without_asking_for_it() -> None:
    asked = client(a_request([a_span(service="orders")], [a_log("first"), a_log("second", at_ms=9)]))

    logs, services = asked.get("/logs?limit=1"), asked.get("/services")

    assert [log["body"] for log in logs.json()["items"]] == ["second"]
    assert services.json() == {"items": ["orders"], "next": None}


@pytest.mark.parametrize("query", ["min_severity=loud", "limit=0", "q=error", "from=yesterday"])
def test_a_list_of_logs_refuses_what_it_does_not_understand(query: str) -> None:
    answer = client().get(f"/logs?{query}")

    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.json()["error"]


def test_health_without_a_collector_counts_what_is_stored() -> None:
    answer = client(a_request([a_span()], [a_log(), a_log()])).get("/health?format=json")

    assert answer.json()["stored"] == {"logs": 2, "spans": 1}


def test_an_unknown_address_is_a_page_or_json() -> None:
    page = client().get("/nope")
    json = client().get("/nope?format=json")

    assert (page.status_code, json.status_code) == (404, 404)
    assert "There is no page at /nope" in page.text
    assert "/requests" in json.json()["advice"]


def test_a_store_that_is_away_is_a_503() -> None:
    class Away(MemoryStore):
        def search_requests(self, query: RequestQuery) -> Page[RequestSummary]:
            raise StoreUnavailable("disk full at /data")

    asked = Asking(create_app(Away()))

    assert asked.get("/requests").status_code == 503
    assert "disk full at /data" in asked.get("/requests").text
    assert asked.get("/requests?format=json").json()["error"] == "disk full at /data"


def test_every_answer_forbids_scripts_that_are_not_ours() -> None:
    asked = client()

    for path in ("/requests", "/nope", "/health?format=json"):
        headers = asked.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_static_files_are_kept_and_all_that_pages_name_exist() -> None:
    asked = client(a_request([a_span()]))
    pages = asked.get("/requests").text + asked.get(f"/requests/{TRACE_ID}").text

    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', pages))

    assert len(addresses) >= 6
    for address in addresses:
        answer = asked.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert "http://" not in pages
    assert "https://" not in pages
