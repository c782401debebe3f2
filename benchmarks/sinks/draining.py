"""`python -m benchmarks.sinks.draining CONFIG`: ship all that the spool holds, print what it took, and end.

CONFIG is what clew.yaml holds, as JSON. The threads are those of `clew up`, without the store's.
"""

import json
import resource
import sys
import threading
import time
from contextlib import closing
from typing import Final

from clew_collector.config import CollectorConfig
from clew_collector.model import SIGNALS
from clew_collector.spool import Spool
from clew_server.sinking import RunningSinks

_POLL_S: Final = 0.01
_KB: Final = 1024


def main(config_json: str) -> None:
    config = CollectorConfig.model_validate_json(config_json)
    stopping = threading.Event()
    with closing(Spool(config.spool_path)) as spool:
        [reader], last_id = spool.readers(), spool.depth().payloads
        before_s, began_s = _cpu_s(), time.monotonic()
        sinks = RunningSinks(config, stopping)
        while max(spool.cursor(reader, signal) for signal in SIGNALS) < last_id:
            time.sleep(_POLL_S)
        took_s, cpu_s = time.monotonic() - began_s, _cpu_s() - before_s
        stopping.set()
        for thread in sinks.threads:
            thread.join()
        sinks.close()
        set_aside = len(spool.dead_letters())
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KB
    print(json.dumps({"took_s": took_s, "cpu_s": cpu_s, "peak_mb": peak_bytes / 1e6, "set_aside": set_aside}))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(*sys.argv[1:])
