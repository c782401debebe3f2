import re
from typing import Any

import yaml

from clew_collector.receivers.kafka.config import KafkaConfig
from tests.docs.pages import DOCS


def test_the_pages_sections_are_what_the_receiver_takes() -> None:
    sections = [yaml.safe_load(block) for block in blocks() if "# clew.yaml" in block]

    configs = [KafkaConfig.model_validate(item) for section in sections for item in section["receivers"]["kafka"]]

    assert [config.encoding for config in configs] == ["otlp_proto", "otlp_proto", "zipkin_json"]
    assert configs[0] == KafkaConfig(brokers=configs[0].brokers)


def test_the_exporters_topics_are_those_that_are_read_by_default() -> None:
    [exporter] = [yaml.safe_load(block)["exporters"]["kafka"] for block in blocks() if "exporters:\n  kafka" in block]
    topics: dict[str, Any] = {signal: exporter[signal]["topic"] for signal in ("logs", "traces")}

    assert KafkaConfig(brokers=tuple(exporter["brokers"])).topics == topics


def blocks() -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", (DOCS / "receivers/kafka.md").read_text(), re.MULTILINE | re.DOTALL)
