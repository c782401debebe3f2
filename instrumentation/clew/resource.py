"""What a process says about itself, once a batch: OpenTelemetry's resource attributes."""

import os
import socket
from uuid import uuid4

from clew import fields
from clew.freezing import Frozen
from clew.settings import Settings
from clew.version import VERSION


def describe_process(settings: Settings) -> dict[str, Frozen]:
    """The attributes of this process. A forked child calls it again: it is another instance."""
    described: dict[str, Frozen] = {
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
        fields.SERVICE_INSTANCE_ID: str(uuid4()),
        **settings.resource,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.name": "clew",
        "telemetry.sdk.version": VERSION,
        fields.SERVICE_NAME: settings.service,
    }
    if settings.version is not None:
        described[fields.SERVICE_VERSION] = settings.version
    if settings.environment is not None:
        described[fields.DEPLOYMENT_ENVIRONMENT] = settings.environment
    return described
