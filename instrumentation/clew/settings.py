"""What `configure()` was told, by its arguments or by the environment, and checked."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args
from urllib.parse import unquote, urlsplit

from clew import fields

LogFormat = Literal["auto", "console", "json", "none"]

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4318"
DEFAULT_SERVICE: Final = "unknown_service:python"
"""What OpenTelemetry calls a service that nobody named."""

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_header_name = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_header_value = re.compile(r"[\x20-\x7e]*").fullmatch


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings; making one raises `ValueError` for those that cannot work."""

    service: str = DEFAULT_SERVICE
    version: str | None = None
    environment: str | None = None
    endpoint: str = DEFAULT_ENDPOINT
    headers: Mapping[str, str] = field(default_factory=dict)
    log_level: int = logging.INFO
    log_format: LogFormat = "auto"
    root_handler: bool = False
    enabled: bool = True
    resource: Mapping[str, str] = field(default_factory=dict)
    """More resource attributes, as OTEL_RESOURCE_ATTRIBUTES gives them."""

    def __post_init__(self) -> None:
        for name in ("service", "version", "environment"):
            _check_text(name, getattr(self, name))
        _check_endpoint(self.endpoint)
        _check_headers(self.headers)
        if self.log_format not in get_args(LogFormat):
            raise _wrong("log_format", self.log_format, f"one of {', '.join(get_args(LogFormat))}")


def read_settings(arguments: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `configure()`'s arguments (None: not given), then CLEW_* variables, then OTEL_* ones.

    Each argument has a variable of its name (`CLEW_SERVICE`, `CLEW_LOG_LEVEL`...). Raises `ValueError`.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in arguments.items() if value is not None}
    resource = _pairs("OTEL_RESOURCE_ATTRIBUTES", environ)
    values = {**_from_otel(environ, resource), **_from_clew(environ), **given}
    if "log_level" in values:
        values["log_level"] = _level(values["log_level"])
    for name in ("root_handler", "enabled"):
        if name in values:
            values[name] = _flag(name, values[name])
    return Settings(resource=resource, **values)  # type: ignore[arg-type]


def _from_otel(environ: Mapping[str, str], resource: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {
        "service": environ.get("OTEL_SERVICE_NAME") or resource.get(fields.SERVICE_NAME),
        "version": resource.get(fields.SERVICE_VERSION),
        "environment": resource.get(fields.DEPLOYMENT_ENVIRONMENT) or resource.get("deployment.environment"),
        "endpoint": environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"),
        "headers": _pairs("OTEL_EXPORTER_OTLP_HEADERS", environ),
        "enabled": False if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" else None,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}


def _from_clew(environ: Mapping[str, str]) -> dict[str, object]:
    names = ("service", "version", "environment", "endpoint", "log_level", "log_format", "root_handler", "enabled")
    found: dict[str, object] = {name: environ.get(f"CLEW_{name.upper()}") for name in names}
    found["headers"] = _pairs("CLEW_HEADERS", environ) or None
    return {name: value for name, value in found.items() if value not in (None, "")}


def _pairs(variable: str, environ: Mapping[str, str]) -> dict[str, str]:
    """`key=value,key2=value%202`, as the OpenTelemetry specification writes lists in a variable."""
    pairs: dict[str, str] = {}
    for member in environ.get(variable, "").split(","):
        key, separator, value = member.partition("=")
        if separator and key.strip():
            pairs[unquote(key.strip())] = unquote(value.strip())
        elif member.strip():
            raise ValueError(f"{variable}: must be key=value pairs with commas between, got {member.strip()!r}")
    return pairs


def _level(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    known = logging.getLevelNamesMapping()
    level = known.get(value.strip().upper()) if isinstance(value, str) else None
    if level is None:
        raise _wrong("log_level", value, f"a number or one of {', '.join(known)}")
    return level


def _flag(name: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else None
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise _wrong(name, value, "True or False (in a variable: true or false)")


def _check_text(name: str, value: object) -> None:
    if (value is None and name != "service") or (isinstance(value, str) and value.strip()):
        return
    raise _wrong(name, value, "text that is not empty")


def _check_endpoint(endpoint: object) -> None:
    right = f"the collector's base address, such as {DEFAULT_ENDPOINT}"
    if not isinstance(endpoint, str):
        raise _wrong("endpoint", endpoint, right)
    try:
        url = urlsplit(endpoint)
        valid = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        valid = False
    if not valid:
        raise _wrong("endpoint", endpoint, right)
    if url.path.rstrip("/").endswith(("/v1/traces", "/v1/logs")):
        raise _wrong("endpoint", endpoint, f"{right}: without /v1/traces or /v1/logs, which are added")


def _check_headers(headers: object) -> None:
    if not isinstance(headers, Mapping):
        raise _wrong("headers", headers, "a mapping of names to texts")
    for name, value in headers.items():
        valid_name = isinstance(name, str) and _header_name(name)
        if not valid_name or not isinstance(value, str) or not _header_value(value):
            # The value is left out on purpose: it is likely a secret.
            raise ValueError(f"clew.configure: headers[{name!r}] must be a header's name and its value in plain ASCII")


def _wrong(name: str, value: object, right: str) -> ValueError:
    return ValueError(f"clew.configure: {name} must be {right}, got {value!r}")
