"""Levels as OpenTelemetry numbers them: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber."""

import logging
from typing import Final

LEVELS: Final = {
    "notset": logging.NOTSET,
    "trace": 5,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "msg": logging.INFO,
    "log": logging.INFO,
    "notice": 25,
    "success": 25,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "exception": logging.ERROR,
    "failure": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
"""structlog's level and method names, and others that are in use, as `logging` numbers them."""


def level_of(name: object) -> int:
    """A level as `logging` numbers it, by its name in any case or its number; INFO for what is neither."""
    if type(name) is str:
        found = LEVELS.get(name)
        if found is None:
            found = LEVELS.get(name.lower())
        if found is None:
            numbered = logging.getLevelNamesMapping().get(name.upper())
            found = logging.INFO if numbered is None else numbered
        return found
    return name if isinstance(name, int) else logging.INFO


def severity_of(level: int) -> int:
    """A `logging` level's severity number; levels between two named ones lie between two here as well."""
    if level < logging.DEBUG:
        return 1
    if level > logging.CRITICAL + 3:
        return 24
    return level // 10 * 4 + 1 + min(level % 10, 3)
