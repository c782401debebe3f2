"""What a configuration needs that is not installed."""

from pathlib import Path
from typing import Any

import pytest

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_server import packages


@pytest.mark.parametrize(
    ("settings", "package", "told"),
    [
        ({"receivers": {"kafka": [{"brokers": ["b:9092"]}]}}, "confluent_kafka", r"receivers.kafka .* 'clew\[kafka\]'"),
        ({"sinks": [{"type": "kafka", "brokers": ["b:9092"]}]}, "confluent_kafka", r"type kafka .* 'clew\[kafka\]'"),
        ({"sinks": [{"type": "elasticsearch"}]}, "elastic_transport", r"elasticsearch .* 'clew\[elasticsearch\]'"),
    ],
)
def test_a_missing_package_is_told_with_the_extra_that_brings_it(
    settings: dict[str, Any], package: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CollectorConfig.model_validate({"data": Path("unused"), **settings})
    packages.check_installed(config)  # all is here

    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == package else object())

    with pytest.raises(ConfigError, match=told):
        packages.check_installed(config)
