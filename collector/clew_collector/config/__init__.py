"""What a collector runs with: the model of clew.yaml, reading it, and its reference."""

from clew_collector.config.collector import CollectorConfig, ReceiversConfig

__all__ = ["CollectorConfig", "ReceiversConfig"]
