"""The libraries that clew instruments by itself, once they are imported. A new one is a function and a line here."""

from collections.abc import Callable
from importlib import import_module
from typing import Final, NamedTuple

from clew.importing import when_imported
from clew.settings import Settings


class Integration(NamedTuple):
    """A library, by the module whose import switches its instrumentation on."""

    name: str
    """What `instrumentations` and `disabled_instrumentations` call it; OpenTelemetry's name, where it has one."""

    module: str
    install: Callable[[], None]
    """Called after the module was imported; twice is the same as once. Asks `RUNTIME.enabled` at each call."""


def install(settings: Settings) -> None:
    """Instrument what is imported already, and what will be."""
    for integration in INTEGRATIONS:
        if is_wanted(integration.name, settings):
            when_imported(integration.module, integration.install)


def is_wanted(name: str, settings: Settings) -> bool:
    """Whether the settings ask for a library and do not forbid it."""
    wanted = settings.instrumentations
    return ("all" in wanted or name in wanted) and name not in settings.disabled_instrumentations


def _httpx() -> None:
    from clew.clients import httpx

    httpx.install()


def _urllib3() -> None:
    from clew.clients import urllib3

    urllib3.install()


def _requests() -> None:
    from clew.clients import requests

    requests.install()


def _urllib() -> None:
    from clew.clients import urllib

    urllib.install()


def _aiohttp_client() -> None:
    from clew.clients import aiohttp

    aiohttp.install()


def _celery() -> None:
    from clew.messaging import celery

    celery.install()


def _dramatiq() -> None:
    from clew.messaging import dramatiq

    dramatiq.install()


def _kombu() -> None:
    from clew.messaging import kombu

    kombu.install()


def _pika() -> None:
    from clew.messaging import pika

    pika.install()


def _aio_pika() -> None:
    from clew.messaging import aio_pika

    aio_pika.install()


def _aiokafka() -> None:
    from clew.messaging import aiokafka

    aiokafka.install()


def _confluent_kafka() -> None:
    from clew.messaging import confluent_kafka

    confluent_kafka.install()


def _loguru() -> None:
    from clew.logs import loguru_bridge

    loguru_bridge.install()


def _grpc_server() -> None:
    from clew.frameworks import grpc

    grpc.install()


def _grpc_aio_server() -> None:
    from clew.frameworks import grpc

    grpc.install_aio()


def _grpc_client() -> None:
    from clew.clients import grpc

    grpc.install()


def _grpc_aio_client() -> None:
    from clew.clients import grpc

    grpc.install_aio()


def _kombu_over_redis() -> None:
    # Whose own line below does the rest.
    import_module("kombu.messaging")


def _botocore() -> None:
    from clew.messaging import sqs_sns

    sqs_sns.install()


INTEGRATIONS: Final = (
    Integration("httpx", "httpx", _httpx),
    Integration("urllib3", "urllib3", _urllib3),
    Integration("requests", "requests", _requests),
    Integration("urllib", "urllib.request", _urllib),
    Integration("aiohttp-client", "aiohttp", _aiohttp_client),
    # Modules that `celery` and `kombu` import when they are used: their pools may have to patch the process before.
    Integration("celery", "celery.app.base", _celery),
    Integration("kombu", "kombu.messaging", _kombu),
    # A connection, and its Redis client, may be there before anything is sent.
    Integration("kombu", "kombu.transport.redis", _kombu_over_redis),
    Integration("dramatiq", "dramatiq", _dramatiq),
    Integration("pika", "pika", _pika),
    Integration("aio-pika", "aio_pika", _aio_pika),
    Integration("aiokafka", "aiokafka", _aiokafka),
    Integration("confluent_kafka", "confluent_kafka", _confluent_kafka),
    Integration("loguru", "loguru", _loguru),
    # `grpc` imports `grpc.aio` by itself.
    Integration("grpc_server", "grpc", _grpc_server),
    Integration("grpc_aio_server", "grpc", _grpc_aio_server),
    Integration("grpc_client", "grpc", _grpc_client),
    Integration("grpc_aio_client", "grpc", _grpc_aio_client),
    Integration("boto3", "botocore.client", _botocore),
)
