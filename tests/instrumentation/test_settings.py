import logging
from typing import Any

import pytest

import clew
from clew.runtime import RUNTIME
from clew.settings import Settings, read_settings


def test_defaults_work_on_a_laptop() -> None:
    assert read_settings({}, {}) == Settings(
        service="unknown_service:python", endpoint="http://127.0.0.1:4318", log_level=logging.INFO, log_format="auto"
    )


def test_arguments_win_over_clews_variables_and_those_over_opentelemetrys() -> None:
    environ = {"OTEL_SERVICE_NAME": "otel", "CLEW_SERVICE": "clew"}

    assert read_settings({"service": "argument"}, environ).service == "argument"
    assert read_settings({"service": None}, environ).service == "clew"
    assert read_settings({}, {"OTEL_SERVICE_NAME": "otel"}).service == "otel"


def test_opentelemetrys_variables_are_read() -> None:
    settings = read_settings(
        {},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector:4318/",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b, other=1",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=r,service.version=2,deployment.environment.name=prod,team=a%2Cb",
            "OTEL_SDK_DISABLED": "true",
        },
    )

    assert settings.endpoint == "https://collector:4318/"
    assert settings.headers == {"x-key": "a b", "other": "1"}
    assert (settings.service, settings.version, settings.environment) == ("r", "2", "prod")
    assert settings.resource["team"] == "a,b"
    assert not settings.enabled


def test_every_setting_has_a_variable() -> None:
    environ = {
        "CLEW_SERVICE": "s",
        "CLEW_VERSION": "1",
        "CLEW_ENVIRONMENT": "test",
        "CLEW_ENDPOINT": "http://c:1",
        "CLEW_HEADERS": "a=b",
        "CLEW_LOG_LEVEL": "debug",
        "CLEW_LOG_FORMAT": "console",
        "CLEW_ROOT_HANDLER": "yes",
        "CLEW_ENABLED": "false",
    }

    assert read_settings({}, environ) == Settings(
        service="s",
        version="1",
        environment="test",
        endpoint="http://c:1",
        headers={"a": "b"},
        log_level=logging.DEBUG,
        log_format="console",
        root_handler=True,
        enabled=False,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"service": ""}, "service must be text that is not empty, got ''"),
        ({"service": 3}, "service must be text that is not empty, got 3"),
        ({"endpoint": "collector:4318"}, "endpoint must be .*such as http://127.0.0.1:4318, got 'collector:4318'"),
        ({"endpoint": "http://"}, "endpoint must be"),
        ({"endpoint": "http://c:99999"}, "endpoint must be"),
        ({"endpoint": "grpc://c:4317"}, "endpoint must be"),
        ({"endpoint": "http://c/v1/traces"}, "without /v1/traces"),
        ({"headers": 3}, "headers must be a mapping"),
        ({"headers": {"a": "b\r\nc: d"}}, r"headers\['a'\]"),
        ({"headers": {"a b": "c"}}, r"headers\['a b'\]"),
        ({"log_level": "loud"}, "log_level must be .*INFO.*, got 'loud'"),
        ({"log_format": "xml"}, "log_format must be one of auto, console, json, ecs, logfmt, none, got 'xml'"),
        ({"root_handler": "maybe"}, "root_handler must be True or False"),
    ],
)
def test_what_cannot_work_is_refused_with_what_would_be_right(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_settings(arguments, {})


def test_a_secret_is_not_repeated_in_an_error() -> None:
    with pytest.raises(ValueError, match="authorization") as caught:
        read_settings({"headers": {"authorization": "Bearer s3cr\u00e9t"}}, {})

    assert "s3cr" not in str(caught.value)


def test_a_malformed_variable_is_named() -> None:
    with pytest.raises(ValueError, match=r"CLEW_RESOURCE must be key=value pairs.*'oops'"):
        read_settings({}, {"CLEW_RESOURCE": "a=1,oops"})


def test_a_malformed_variable_of_opentelemetry_is_ignored_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    settings = read_settings({}, {"OTEL_BSP_MAX_QUEUE_SIZE": "many", "OTEL_TRACES_SAMPLER": "jaeger_remote"})

    assert settings == Settings()
    assert "OTEL_BSP_MAX_QUEUE_SIZE is ignored: it must be a whole number" in caplog.text
    assert "OTEL_TRACES_SAMPLER is ignored: it must be one of" in caplog.text


def test_an_argument_that_is_no_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="there is no setting 'endpiont'"):
        read_settings({"endpiont": "http://c:1"}, {})


def test_wrong_settings_change_nothing() -> None:
    clew.configure(service="orders")
    before = RUNTIME.exporter

    with pytest.raises(ValueError, match="endpoint"):
        clew.configure(service="orders", endpoint="nowhere")

    assert RUNTIME.exporter is before
