"""Configurations for tests."""

from pathlib import Path

from clew_collector.config import CollectorConfig


def configured(data: Path = Path("unused"), *, dashboard: int = 8840, **ports: int) -> CollectorConfig:
    """A configuration with these ports; those of receivers by the name of their section. It keeps only what is sent."""
    settings = {
        "data": data,
        "dashboard": {"port": dashboard},
        "receivers": {name: {"port": port} for name, port in ports.items()},
        "telemetry": {"observe_itself": False},
    }
    return CollectorConfig.model_validate(settings)
