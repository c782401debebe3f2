"""A batch: decoded records on their way into stores, with what it takes to flatten and to count them once."""

import pyarrow as pa

from clew_collector.model import Signal, record


@record
class Batch:
    """Payloads of one signal, decoded together.

    `select` is SQL over a table named `batch` (here `table`) whose columns are those of the store's table for the
    signal. `last_id` is the spool number of the newest payload in it; batches of a signal come in rising order, and
    a store that holds one number holds all below it.
    """

    signal: Signal
    table: pa.Table
    select: str
    last_id: int
