"""Packages that a test needs and that not everybody has installed."""

import os
from importlib.util import find_spec

import pytest


def need_package(name: str) -> None:
    """Skip the module that calls this on a laptop without the package, fail in CI."""
    if find_spec(name) is not None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed: pip install 'clew[dev]'", pytrace=False)
    pytest.skip(f"{name} is not installed", allow_module_level=True)
