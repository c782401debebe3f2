"""Ships a spool into Elasticsearch, and kills itself at an exact point.

`python -m tests.collector.sinks.elastic_killer DATA URL STREAM POINT PASSAGE`
"""

import sys
from collections.abc import Callable
from pathlib import Path

from clew_collector.sinks.elasticsearch import bulk
from clew_collector.sinks.elasticsearch.bulk import Bulk
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.elasticsearch.sink import ElasticsearchSink
from clew_collector.sinks.pacing import BatchBounds
from clew_collector.sinks.shipping import Shipping
from clew_collector.spool import Spool
from tests.journeys.killers import Killer

BOUNDS = BatchBounds(max_records=1_000, max_bytes=1 << 20)
MAX_REQUEST_BYTES = 50_000
"""Several requests a batch."""

POINTS: dict[str, Callable[[Killer], None]] = {
    "before the attempt is noted": lambda k: setattr(Spool, "keep_checkpoints", k.before(Spool.keep_checkpoints)),
    "after the attempt is noted": lambda k: setattr(Spool, "keep_checkpoints", k.after(Spool.keep_checkpoints)),
    "before a request": lambda k: setattr(Bulk, "write", k.before(Bulk.write)),
    "before the answer is read": lambda k: setattr(bulk, "_read", k.before(bulk._read)),
    "after a request": lambda k: setattr(Bulk, "write", k.after(Bulk.write)),
    "before the batch is over": lambda k: setattr(ElasticsearchSink, "write", k.after(ElasticsearchSink.write)),
    "before the dead letter": lambda k: setattr(Spool, "set_aside", k.before(Spool.set_aside)),
    "after the dead letter": lambda k: setattr(Spool, "set_aside", k.after(Spool.set_aside)),
    "before the cursor moves": lambda k: setattr(Spool, "note_advance", k.before(Spool.note_advance)),
    "after the cursor moved": lambda k: setattr(Spool, "note_advance", k.after(Spool.note_advance)),
}


def main(data: str, url: str, stream: str, point: str, passage: str) -> None:
    POINTS[point](Killer(int(passage), Path(data) / "killed"))
    spool = Spool(Path(data) / "spool")
    config = ElasticsearchConfig(
        type="elasticsearch", urls=(url,), logs=stream, max_request_bytes=MAX_REQUEST_BYTES, max_batch_records=1_000
    )
    Shipping("logs", spool, ElasticsearchSink(config, origin=spool.origin()), bounds=BOUNDS).drain()


if __name__ == "__main__":
    main(*sys.argv[1:])
