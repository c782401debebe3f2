"""`python -m clew_demo.recommendations`: run the recommendations."""

import argparse
import os

import uvicorn

from clew_demo.faults.switchboard import Switchboard
from clew_demo.recommendations.app import create_app
from clew_demo.recommendations.telemetry import set_up
from clew_demo.settings import HOST, PORTS, Settings

GRACE_S = 1


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m clew_demo.recommendations")
    parser.add_argument("--port", type=int, default=PORTS["recommendations"])
    port = parser.parse_args().port
    settings = Settings.from_environment(os.environ)
    app = create_app(Switchboard(settings.data), shut_down=set_up("recommendations"))
    uvicorn.run(app, host=HOST, port=port, access_log=False, log_config=None, timeout_graceful_shutdown=GRACE_S)


if __name__ == "__main__":
    main()
