"""The page on log files: its section of clew.yaml follows what it says, its table is the code's."""

import json
import re
from pathlib import Path
from typing import Any

import httpx
import yaml

from clew_collector.model import ERROR_SEVERITY
from clew_collector.receivers.tail.config import TailConfig
from tests.docs.pages import DOCS, blocks
from tests.server.running_clew import clew_up

PAGE = "receivers/files.md"
TEXT = (DOCS / PAGE).read_text()
REQUEST = "order-17"


def nginx_line(**values: str) -> str:
    """What the page's `log_format` makes of a request."""
    [config] = blocks(PAGE, "nginx")
    pattern = "".join(re.findall(r"'([^']*)'", config.partition(";")[0]))
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], pattern)


def test_the_pages_section_takes_the_lines_of_one_request_from_four_kinds_of_files(tmp_path: Path) -> None:
    [section] = blocks(PAGE, "yaml")
    (tmp_path / "clew.yaml").write_text(re.sub(r"(?<=[\[ ])/(?=var|srv)", f"{tmp_path}/", section))
    line = nginx_line(
        remote_addr="10.0.0.7",
        remote_user="-",
        time_local="02/Jan/2026:04:04:05 +0100",
        request="POST /checkout?cart=1 HTTP/1.1",
        status="502",
        body_bytes_sent="12",
        http_referer="-",
        http_user_agent="curl/8.5",
        http_x_request_id=REQUEST,
    )
    files = {
        "var/log/shop/orders.log": json.dumps({"level": "info", "event": "order taken", "request_id": REQUEST}) + "\n",
        "var/log/shop/payments.log.1": f"2026-01-02T03:04:05Z WARN card is slow request_id={REQUEST}\n",
        "var/log/nginx/access.log": f"{line}\n",
        "srv/stock/live/app.log": f"2026-01-02 03:04:06 ERROR no stock request_id={REQUEST}\nwhile picking\n  shelf\n",
        "srv/stock/live/app.log.bak": f"2026-01-02 03:04:06 ERROR in a copy request_id={REQUEST}\n",
    }

    with clew_up(tmp_path / "data", "--config", str(tmp_path / "clew.yaml")) as running:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        url = f"{running.dashboard_url}/requests/{REQUEST}?format=json"
        form = running.wait_for(
            lambda: httpx.get(url), lambda answer: answer.is_success and len(answer.json()["logs"]) == 4
        ).json()

    logs: dict[str, dict[str, Any]] = {log["attributes"]["log.file.name"]: log for log in form["logs"]}
    assert {name: log["service"] for name, log in logs.items()} == {
        "orders.log": "orders",
        "payments.log.1": "payments",
        "access.log": "nginx",
        "app.log": "unknown_service",
    }
    assert logs["access.log"]["attributes"]["http.response.status_code"] == 502
    assert logs["access.log"]["severity_number"] == ERROR_SEVERITY
    assert logs["app.log"]["body"].endswith("while picking\n  shelf")
    assert logs["app.log"]["resource"]["deployment.environment.name"] == "production"


def test_the_pages_table_has_every_setting_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", TEXT, re.M)
    written = {name: default.strip("`") for name, default in rows if name in TailConfig.model_fields}

    fields = {name: field.get_default() for name, field in TailConfig.model_fields.items() if not field.is_required()}
    words: dict[str, str] = {"exclude": "none", "service": "none", "attributes": "none", "timezone": "this machine's"}
    assert written.keys() == TailConfig.model_fields.keys()
    for name, default in fields.items():
        assert written[name] == words.get(name, str(default).lower() if isinstance(default, bool) else str(default))


def test_the_pages_sections_are_settings() -> None:
    [section] = blocks(PAGE, "yaml")

    configs = [TailConfig.model_validate(item) for item in yaml.safe_load(section)["receivers"]["tail"]]

    assert [config.format for config in configs] == ["auto", "nginx", "auto"]
