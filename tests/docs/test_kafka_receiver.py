import uuid
from pathlib import Path
from typing import Any

import httpx
import yaml

from clew_collector.receivers.kafka.config import KafkaConfig
from tests.collector import zipkin_builders
from tests.collector.otlp_builders import a_log, a_span, logs, traces
from tests.collector.receivers.kafka_topics import Topic
from tests.docs.pages import blocks
from tests.server.running_clew import clew_up

PAGE = "receivers/kafka.md"


def sections() -> list[dict[str, Any]]:
    """What the page has for clew.yaml."""
    return [yaml.safe_load(block) for block in blocks(PAGE, "yaml") if "# clew.yaml" in block]


def test_the_pages_sections_are_what_the_receiver_takes() -> None:
    configs = [KafkaConfig.model_validate(item) for section in sections() for item in section["receivers"]["kafka"]]

    assert [config.encoding for config in configs] == ["otlp_proto", "otlp_proto", "zipkin_json"]
    assert configs[0] == KafkaConfig(brokers=configs[0].brokers)


def test_the_exporters_topics_are_those_that_are_read_by_default() -> None:
    [block] = [block for block in blocks(PAGE, "yaml") if "exporters:\n  kafka" in block]
    exporter = yaml.safe_load(block)["exporters"]["kafka"]
    topics: dict[str, Any] = {signal: exporter[signal]["topic"] for signal in ("logs", "traces")}

    assert KafkaConfig(brokers=tuple(exporter["brokers"])).topics == topics


def test_what_is_in_the_pages_topics_is_one_request(tmp_path: Path, kafka_url: str) -> None:
    id = f"order-{uuid.uuid4().hex}"
    topics = {
        "otlp_logs": logs(a_log(more={"correlation.id": id})).SerializeToString(),
        "otlp_spans": traces(a_span(more={"correlation.id": id})).SerializeToString(),
        "zipkin": zipkin_builders.body_of(zipkin_builders.a_span(tags={"correlation.id": id})),
    }
    otlp, _, zipkin = (section["receivers"]["kafka"][0] | {"brokers": [kafka_url]} for section in sections())
    (tmp_path / "clew.yaml").write_text(yaml.safe_dump({"receivers": {"kafka": [otlp, zipkin]}}))
    for name, body in topics.items():
        Topic(kafka_url, name=name).send([body])

    with clew_up(tmp_path / "data", "--config", str(tmp_path / "clew.yaml")) as running:
        url = f"{running.dashboard_url}/requests/{id}?format=json"
        form = running.wait_for(
            lambda: httpx.get(url).json(), lambda form: len(form.get("spans", [])) + len(form.get("logs", [])) == 3
        )

    assert {span["service"] for span in form["spans"]} == {"inventory", "stock"}
