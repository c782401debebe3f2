from tests.demo_services.messaging.brokers import broker_url, fakeredis_url

__all__ = ["broker_url", "fakeredis_url"]
