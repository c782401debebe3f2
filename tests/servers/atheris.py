"""atheris, which fuzzes Python code by what of it an input reaches (https://github.com/google/atheris)."""

import sys
from importlib.util import find_spec

import pytest

from tests.servers.missing import ServerMissingError

_WHEELS_BELOW = (3, 14)


def find() -> str:
    """The Python that has it. Raises `ServerMissingError`; where it has no wheels there is nothing to miss."""
    if sys.platform != "linux" or sys.version_info >= _WHEELS_BELOW:
        pytest.skip("atheris has wheels for Python 3.11 to 3.13 on Linux only")
    if find_spec("atheris") is None:
        raise ServerMissingError("pip install atheris")
    return sys.executable
