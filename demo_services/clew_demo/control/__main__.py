"""`python -m clew_demo.control`: run the page of faults."""

import os

import clew
from clew_demo import serving
from clew_demo.control.app import create_app
from clew_demo.faults.switchboard import Switchboard
from clew_demo.settings import PORTS, Settings
from clew_demo.system import DASHBOARD_VARIABLE


def main() -> None:
    """Serve until told to stop."""
    port = serving.parse_port("control", default=PORTS["control"])
    settings = Settings.from_environment(os.environ)
    clew.configure(service="control")
    app = create_app(Switchboard(settings.data), dashboard_url=os.environ.get(DASHBOARD_VARIABLE))
    serving.run(app, port=port)


if __name__ == "__main__":
    main()
