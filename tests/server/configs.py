"""Configurations for tests."""

from pathlib import Path

from clew_collector.config import CollectorConfig


def configured(data: Path = Path("unused"), *, dashboard: int = 8840, **ports: int) -> CollectorConfig:
    """A configuration with these ports; those of receivers by the name of their section."""
    receivers = {name: {"port": port} for name, port in ports.items()}
    return CollectorConfig.model_validate({"data": data, "dashboard": {"port": dashboard}, "receivers": receivers})
