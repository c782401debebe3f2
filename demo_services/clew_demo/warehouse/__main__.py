"""`python -m clew_demo.warehouse`: run the warehouse."""

import argparse
import logging
import os
import signal
import sys

from clew_demo.settings import HOST, PORTS, Settings
from clew_demo.warehouse.logs import log_to_file
from clew_demo.warehouse.picks import Picks
from clew_demo.warehouse.server import Warehouse

log = logging.getLogger("main")


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m clew_demo.warehouse")
    parser.add_argument("--port", type=int, default=PORTS["warehouse"])
    port = parser.parse_args().port
    settings = Settings.from_environment(os.environ)
    log_to_file(settings.data / "logs" / "warehouse.log")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    picks = Picks(settings.data / "warehouse.db")
    with Warehouse((HOST, port), picks) as warehouse:
        log.info("open on port %d", port)
        try:
            warehouse.serve_forever()
        finally:
            picks.close()
            log.info("closed")


if __name__ == "__main__":
    main()
