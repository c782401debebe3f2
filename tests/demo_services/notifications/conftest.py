"""Brokers as fixtures."""

from tests.demo_services.neighbours.brokers import broker_url, fakeredis_url

__all__ = ["broker_url", "fakeredis_url"]
