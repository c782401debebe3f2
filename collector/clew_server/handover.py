"""Handing a configuration over to the processes under the supervisor.

It goes through an open file without a name: secrets in it show neither in a list of processes nor in a directory.
"""

import os
import tempfile

from clew_collector.config import CollectorConfig
from clew_collector.secrets import REVEALED


class ConfigHandover:
    """A configuration that processes started with `fd` read when they start."""

    def __init__(self, config: CollectorConfig) -> None:
        self._file = tempfile.TemporaryFile(prefix="clew-config-")  # noqa: SIM115  # until `close`
        self.hand(config)

    @property
    def fd(self) -> int:
        """For `read_config`, in a child that it was passed on to."""
        return self._file.fileno()

    def hand(self, config: CollectorConfig) -> None:
        """Give another configuration to those that start from now on."""
        text = config.model_dump_json(context=REVEALED).encode()
        self._file.truncate(0)
        os.pwrite(self.fd, text, 0)

    def close(self) -> None:
        """Forget it, once all children have ended."""
        self._file.close()


def read_config(fd: int) -> CollectorConfig:
    """The configuration that was handed over; may be read more than once."""
    return CollectorConfig.model_validate_json(os.pread(fd, os.fstat(fd).st_size, 0))
