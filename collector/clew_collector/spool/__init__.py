"""The durable queue between receivers and stores: what is in it has been promised to a sender."""

from clew_collector.spool.counters import Counter, Series
from clew_collector.spool.dead_letters import DeadLetter
from clew_collector.spool.schema import FORMAT_VERSION
from clew_collector.spool.spool import DIGEST_MEMORY_S, STORE, Depth, Spool, Spooled

__all__ = [
    "DIGEST_MEMORY_S",
    "FORMAT_VERSION",
    "STORE",
    "Counter",
    "DeadLetter",
    "Depth",
    "Series",
    "Spool",
    "Spooled",
]
