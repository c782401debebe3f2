"""The page on Elasticsearch's `_bulk`: its program is run, its configurations point to the port that it names."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from clew_collector.receivers.elastic_bulk import ElasticBulkConfig
from tests.collector.receivers.elastic_intake import Intake
from tests.collector.receivers.serving import serving
from tests.collector.wire.elastic_bulk.documents import attributes_of
from tests.docs.pages import blocks, read_page
from tests.needed_packages import need_package

need_package("elasticsearch")

PAGE = "receivers/elasticsearch-bulk.md"


def block(language: str, start: str) -> str:
    """The block of the page that begins with these words."""
    [found] = [each for each in blocks(PAGE, language) if each.startswith(start)]
    return found


def test_the_pages_program_sends_lines_of_its_request(tmp_path: Path) -> None:
    page = read_page(PAGE)
    page.write(tmp_path)
    program = tmp_path / "ship.py"
    _, file = shlex.split(page.command("python ship.py"))
    intake = Intake()

    with serving(intake.app) as url:
        program.write_text(program.read_text().replace("http://127.0.0.1:9201", url))
        done = subprocess.run([sys.executable, file], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.stdout == "2 documents are on disk\n", done.stderr
    [payload] = intake.payloads
    assert payload.services == {"orders": 2}
    assert [(log.severity_text, log.body.string_value) for log in intake.logs()] == [
        ("info", "order taken"),
        ("error", "card declined"),
    ]
    asked_for = page.command("clew request").split()[-1]
    assert {attributes_of(log)["correlation.id"] for log in intake.logs()} == {asked_for}


@pytest.mark.parametrize(
    ("language", "start"),
    [("yaml", "# filebeat.yml"), ("yaml", "# fluent-bit.yaml"), ("ruby", "# logstash.conf"), ("yaml", "receivers:")],
)
def test_the_pages_configurations_name_the_same_port(language: str, start: str) -> None:
    text = block(language, start)

    assert re.findall(r"\b92\d\d\b", text) == ["9201"]
    if language == "yaml":
        assert yaml.safe_load(text)


def test_the_pages_section_of_clew_yaml_has_the_defaults() -> None:
    section = yaml.safe_load(block("yaml", "receivers:"))["receivers"]["elastic_bulk"]

    assert ElasticBulkConfig(**section) == ElasticBulkConfig(port=9201)
    assert section.keys() == ElasticBulkConfig.model_fields.keys() - {"tls"}
