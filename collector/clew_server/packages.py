"""Packages that only some configurations need."""

from importlib.util import find_spec

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError


def check_installed(config: CollectorConfig) -> None:
    """Raise `ConfigError`, which names the extra to install, if a receiver or sink needs a package that is not here."""
    sinks = {sink.type for sink in config.sinks}
    needed = (
        (bool(config.receivers.kafka), "receivers.kafka", "confluent_kafka", "kafka"),
        ("kafka" in sinks, "a sink of type kafka", "confluent_kafka", "kafka"),
        ("elasticsearch" in sinks, "a sink of type elasticsearch", "elastic_transport", "elasticsearch"),
    )
    for is_needed, who, package, extra in needed:
        if is_needed and find_spec(package) is None:
            raise ConfigError(f"{who} needs a package more: pip install 'clew[{extra}]'")
