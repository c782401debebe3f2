"""Levels as OpenTelemetry numbers them: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber."""

import logging
from typing import Final

_INFO: Final = 9

LEVELS: Final = {
    "notset": logging.NOTSET,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "msg": logging.INFO,
    "log": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
"""structlog's level and method names as `logging` numbers them."""


def severity_of(level: int) -> int:
    """A `logging` level's severity number; levels between two named ones lie between two here as well."""
    if level < logging.DEBUG:
        return 1
    if level > logging.CRITICAL + 3:
        return 24
    return level // 10 * 4 + 1 + min(level % 10, 3)
