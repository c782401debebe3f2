"""The version of this package, as it is reported in `telemetry.sdk.version`."""

from typing import Final

VERSION: Final = "0.1.0"
