"""telemetrygen, the OpenTelemetry Collector's generator of load: Go's SDK and its exporters."""

from pathlib import Path

from tests.servers.go import built

VERSION = "0.160.0"
_MODULE = "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen"


def find() -> Path:
    """The program, built if it is not there. Raises `ServerMissingError`."""
    return built(_MODULE, VERSION)
