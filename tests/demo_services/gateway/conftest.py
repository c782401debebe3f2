import pytest


@pytest.fixture(scope="module", autouse=True)
def callers_have_no_clew() -> None:
    """Here the gateway is in the tests' own process, and clew with it."""
