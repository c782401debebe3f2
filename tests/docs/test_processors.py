import re
from typing import Any

import yaml

from clew_collector.model import Value
from clew_collector.processors.thinning import ThinningConfig
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.processors.applying import configured, logs_after, spans_after
from tests.docs.pages import DOCS, blocks

PAGE = "how-to/processors.md"


def examples() -> list[dict[str, Any]]:
    return [yaml.safe_load(block) for block in blocks(PAGE, "yaml")]


def processors_of(kind: str) -> list[dict[str, Any]]:
    [found] = [page["processors"] for page in examples() if page.get("processors", [{}])[0].get("type") == kind]
    return list(found)


def test_every_example_of_the_page_is_a_configuration() -> None:
    kinds = set()
    for example in examples():
        assert example.keys() in ({"processors"}, {"thinning"})
        configured(*example.get("processors", []))
        ThinningConfig(**example.get("thinning", {}))
        kinds |= {config["type"] for config in example.get("processors", [])}

    assert kinds == {"redact", "enrich", "drop", "keep", "rename", "sample", "rate_limit"}


def test_every_kind_has_its_section() -> None:
    sections = set(re.findall(r"^## (.*)$", (DOCS / PAGE).read_text(), re.MULTILINE))

    assert {"redact", "enrich", "drop and keep", "rename", "sample", "rate_limit", "thinning"} < sections


def test_the_pages_redaction_redacts() -> None:
    more: dict[str, Value] = {"db.Password": "hunter2", "user.id": 7, "note": "tok_abcdefghijkl"}

    [log] = logs_after(logs(a_log("by bob@example.com", more=more)), *processors_of("redact"))

    assert log.body == "by REDACTED"
    assert (log.attributes["db.Password"], log.attributes["note"]) == ("REDACTED", "REDACTED")
    assert str(log.attributes["user.id"]).startswith("sha256:")


def test_the_pages_drops_drop() -> None:
    request = traces(a_span(more={"http.route": "/healthz"}), a_span("GET /orders"))

    assert [span.name for span in spans_after(request, *processors_of("drop"))] == ["GET /orders"]
    assert logs_after(logs(a_log(severity=5), service="checkout-eu"), *processors_of("drop")) == []


def test_the_pages_renaming_joins_lines_to_requests() -> None:
    [log] = logs_after(logs(a_log(more={"request_id": "r"}), service="legacy-1"), *processors_of("rename"))

    assert log.correlation_id == "r"
