"""A shop for a real server to import: `served_shop:app` is the one that `SHOP` names, sent to `COLLECTOR`."""

import os
from collections.abc import Iterable
from typing import Any

import clew
from tests.instrumentation.frameworks.shops import SHOPS

clew.configure(service="orders", endpoint=os.environ["COLLECTOR"], log_format="json")


def failing(environ: Any, start_response: Any) -> Iterable[bytes]:
    """Fails before it answers; all that a raw application can do wrong."""
    raise ValueError("raw")


NAME = os.environ["SHOP"]
app: Any = (
    clew.ClewWSGIMiddleware(failing)
    if NAME == "raw"
    else clew.instrument(next(shop for shop in SHOPS if shop.name == NAME).make())
)
