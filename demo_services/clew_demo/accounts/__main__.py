"""`python -m clew_demo.accounts`: run the accounts service."""

import os

from clew_demo import clock
from clew_demo.faults.switchboard import Switchboard
from clew_demo.settings import PORTS, Settings


def main() -> None:
    """Serve until told to stop."""
    settings = Settings.from_environment(os.environ)
    faults = Switchboard(settings.data)
    clock.install(faults)

    # Not above: all that imports clew comes after the clock that can go wrong.
    from clew_demo import serving
    from clew_demo.accounts.process import serve

    serve(settings, faults, port=serving.parse_port("accounts", default=PORTS["accounts"]))


if __name__ == "__main__":
    main()
