"""What is done now and then beside the pipelines: dropping what is too old, thinning what nobody will miss."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

from clew_collector.config import CollectorConfig
from clew_collector.errors import StoreUnavailable
from clew_collector.processors.thinning import ThinningConfig
from clew_collector.spool import STORE, Series, Spool
from clew_collector.stores.duckdb import DuckDBStore
from clew_collector.stores.duckdb.thin import Mark

_EVERY_S: Final = 30.0

log = structlog.get_logger(__name__)


def keep_house(config: CollectorConfig, store: DuckDBStore, stopping: threading.Event) -> threading.Thread | None:
    """Start a thread that does what the configuration asks for; `None` if that is nothing."""
    tasks: list[Callable[[Spool], None]] = []
    if (max_age_s := config.spool.max_age_s) is not None:
        tasks.append(lambda spool: spool.expire(max_age_s=max_age_s))
    if (thinning := config.thinning) is not None:
        tasks.append(_Thinning(store, thinning, stopping))
    if not tasks:
        return None
    thread = threading.Thread(target=_run, args=(config, tasks, stopping), name="housekeeping", daemon=True)
    thread.start()
    return thread


def _run(config: CollectorConfig, tasks: list[Callable[[Spool], None]], stopping: threading.Event) -> None:
    spool = Spool(config.spool_path)
    while not stopping.wait(_EVERY_S):
        for task in tasks:
            try:
                task(spool)
            except StoreUnavailable as error:
                log.warning("housekeeping is put off", error=str(error))
    spool.close()


class _Thinning:
    """Thins again and again, each time what has changed since; the first time after a start looks at everything."""

    def __init__(self, store: DuckDBStore, config: ThinningConfig, stopping: threading.Event) -> None:
        self._store = store
        self._config = config
        self._stopping = stopping
        self._mark: Mark | None = None

    def __call__(self, spool: Spool) -> None:
        thinned = self._store.thin(
            before_ns=time.time_ns() - int(self._config.after_s * 1e9),
            slow_ns=int(self._config.slow_ms * 1e6),
            keep_ratio=self._config.keep_ratio,
            since=self._mark,
            is_stopping=self._stopping.is_set,
        )
        self._mark = thinned.mark
        if thinned.requests:
            log.info("requests thinned", requests=thinned.requests, logs=thinned.logs, spans=thinned.spans)
            spool.count(
                {
                    Series("thinned", "logs", "", STORE): thinned.logs,
                    Series("thinned", "traces", "", STORE): thinned.spans,
                }
            )
