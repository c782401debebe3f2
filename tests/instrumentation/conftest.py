import logging
from collections.abc import Iterator

import pytest
import structlog

import clew
from clew.runtime import RUNTIME
from tests.instrumentation.fake_collector import FakeCollector, running_collector


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in list(os.environ):
        if name.startswith(("OTEL_", "CLEW_")):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _clean_process() -> Iterator[None]:
    """clew is one for the process: each test finds it off and leaves it off."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)  # a server that another test ran here has set it
    structlog.reset_defaults()
    yield
    clew.shutdown(0.5)
    RUNTIME.enabled = True
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    """A collector that takes everything; clew is not configured yet."""
    with running_collector() as collector:
        yield collector
        clew.shutdown(0.5)


@pytest.fixture
def exported(collector: FakeCollector) -> FakeCollector:
    """A collector that gets this process's spans and logs."""
    clew.configure(service="orders", endpoint=collector.url, log_format="json")
    return collector
