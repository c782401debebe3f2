"""Which version an instance runs, and what goes wrong with its product pages while faults are planted."""

import itertools

import structlog
from opentelemetry import trace

from clew_demo.faults.switchboard import Switchboard
from clew_demo.problems import Problem

VERSION = "2.0.0"
BAD_VERSION = "2.1.0"
BAD_INSTANCE = "catalog-2"
SERVICE_VERSION = "service.version"


class Deployment:
    """One instance as it was deployed. The fault `bad-deploy` is as if it had been replaced by a newer version."""

    def __init__(self, instance: str, *, faults: Switchboard) -> None:
        self.instance = instance
        self._faults = faults
        self._bad_pages = itertools.count(1)
        self._overloaded_pages = itertools.count(1)

    @property
    def version(self) -> str:
        """What runs now."""
        return BAD_VERSION if self._is_bad() else VERSION

    def describe_request(self) -> None:
        """Say on a request's span and log lines which version it met, where `clew.configure` was told otherwise."""
        structlog.contextvars.unbind_contextvars(SERVICE_VERSION)
        if self._is_bad():
            structlog.contextvars.bind_contextvars(**{SERVICE_VERSION: BAD_VERSION})
            trace.get_current_span().set_attribute(SERVICE_VERSION, BAD_VERSION)

    def fail_page(self) -> None:
        """The faults `bad-deploy`, which fails every third product page, and `retry-storm`, every second one."""
        if self._is_bad() and next(self._bad_pages) % 3 == 0:
            raise RuntimeError(f"no template for the product page of {BAD_VERSION}")
        if self._faults.is_on("retry-storm") and next(self._overloaded_pages) % 2 == 0:
            raise Problem(503, "catalog_overloaded", "The catalog has too much to do.")

    def _is_bad(self) -> bool:
        return self.instance == BAD_INSTANCE and self._faults.is_on("bad-deploy")
