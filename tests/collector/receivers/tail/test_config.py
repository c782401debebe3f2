"""What cannot be meant is refused before anything starts, with what would be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from clew_collector.receivers.tail import TailConfig
from clew_collector.receivers.tail.checkpoint import base_name


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"paths": []}, "at least 1"),
        ({"multiline": "("}, "regular expression"),
        ({"encoding": "utf-9"}, "text encoding"),
        ({"encoding": "utf-16"}, "utf-16-le"),
        ({"encoding": "base64"}, "text encoding"),
        ({"timezone": "Europe/Nowhere"}, "Europe/Berlin"),
        ({"timezone": "../etc/passwd"}, "Europe/Berlin"),
        ({"format": "xml"}, "'plain'"),
        ({"max_line_bytes": 1}, "1024"),
        ({"path": "x"}, "Extra inputs"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TailConfig.model_validate({"paths": ["/var/log/a.log"], **setting})


@pytest.mark.parametrize(
    "name",
    ["app.log", "app.log.1", "app.log.12.gz", "app.log-20260102", "app.log.2026-01-02_03", "app-2026-01-02.1.log.gz"],
)
def test_the_name_of_a_log_is_known_however_it_was_rotated(name: str) -> None:
    assert base_name(name) == "app.log"


@pytest.mark.parametrize("name", ["service-001.log", "app1.log", "app.log.bak", "v1.2.log"])
def test_a_name_with_a_number_of_its_own_keeps_it(name: str) -> None:
    assert base_name(name) == name
