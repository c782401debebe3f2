"""`python -m clew_demo.pricing`: run pricing."""

import argparse
import logging
import os
from datetime import datetime
from random import Random

import uvicorn

from clew_demo.pricing.app import create_app
from clew_demo.pricing.reporter import Reporter
from clew_demo.settings import HOST, PORTS

ZIPKIN_VARIABLE = "CLEW_DEMO_ZIPKIN"
"""Where spans are posted to, as in `http://127.0.0.1:9411/api/v2/spans`."""

GRACE_S = 1


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m clew_demo.pricing")
    parser.add_argument("--port", type=int, default=PORTS["pricing"])
    port = parser.parse_args().port
    logging.basicConfig(level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    reporter = Reporter(os.environ.get(ZIPKIN_VARIABLE))
    app = create_app(reporter, random=Random(), hour=lambda: datetime.now().hour)
    uvicorn.run(app, host=HOST, port=port, access_log=False, log_config=None, timeout_graceful_shutdown=GRACE_S)


if __name__ == "__main__":
    main()
