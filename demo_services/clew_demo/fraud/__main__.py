"""`python -m clew_demo.fraud`: run the fraud check."""

import argparse
import os
import signal
import sys

import waitress

from clew_demo.fraud.app import create_app
from clew_demo.fraud.syslog import log_to_syslog
from clew_demo.settings import HOST, PORTS

SYSLOG_VARIABLE = "CLEW_DEMO_SYSLOG"
"""`host:port` of a syslog server that takes UDP."""


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m clew_demo.fraud")
    parser.add_argument("--port", type=int, default=PORTS["fraud"])
    port = parser.parse_args().port
    log_to_syslog("fraud", os.environ.get(SYSLOG_VARIABLE))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # waitress ends in order at SystemExit and KeyboardInterrupt
    waitress.serve(create_app(), host=HOST, port=port)


if __name__ == "__main__":
    main()
