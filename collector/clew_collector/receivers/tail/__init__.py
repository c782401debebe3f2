"""Log files, followed as they are written and rotated."""

from clew_collector.receivers.tail.config import TailConfig
from clew_collector.receivers.tail.receiver import TailReceiver

__all__ = ["TailConfig", "TailReceiver"]
