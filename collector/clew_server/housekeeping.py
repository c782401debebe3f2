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

_EVERY_S: Final = 30.0

log = structlog.get_logger(__name__)


def keep_house(config: CollectorConfig, store: DuckDBStore, stopping: threading.Event) -> threading.Thread | None:
    """Start a thread that does what the configuration asks for; `None` if that is nothing."""
    tasks: list[Callable[[Spool], None]] = []
    if (max_age_s := config.spool.max_age_s) is not None:
        tasks.append(lambda spool: spool.expire(max_age_s=max_age_s))
    if (thinning := config.thinning) is not None:
        tasks.append(lambda spool: _thin(store, spool, thinning, stopping))
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


def _thin(store: DuckDBStore, spool: Spool, thinning: ThinningConfig, stopping: threading.Event) -> None:
    before_ns = time.time_ns() - int(thinning.after_s * 1e9)
    thinned = store.thin(
        before_ns=before_ns,
        slow_ns=int(thinning.slow_ms * 1e6),
        keep_ratio=thinning.keep_ratio,
        is_stopping=stopping.is_set,
    )
    if thinned.requests:
        log.info("requests thinned", requests=thinned.requests, logs=thinned.logs, spans=thinned.spans)
        spool.count(
            {
                Series("thinned", "logs", "", STORE): thinned.logs,
                Series("thinned", "traces", "", STORE): thinned.spans,
            }
        )
