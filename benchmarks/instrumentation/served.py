"""The host as a server runs it: `uvicorn benchmarks.instrumentation.served:app`; case and sink from the environment."""

import os

from benchmarks.instrumentation import cases
from benchmarks.instrumentation.host import make_app

# What a service would have: the peers' own bounds, so that an overloaded exporter drops instead of growing.
cases.QUEUE = 2_048

_peer = cases.CASES[os.environ["BENCH_CASE"]][1](os.environ["BENCH_SINK"], logs=True)
app = _peer.wrap(make_app("fastapi", _peer.log), "fastapi")
