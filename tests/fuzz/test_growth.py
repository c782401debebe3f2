"""What is so many times as long takes about so many times as long: nobody can keep a process busy with one body."""

import json
import time
from collections.abc import Callable, Mapping

import pytest

from tests.fuzz.targets import TARGETS

SPAN = {"traceId": "a", "id": "b"}
ACTION = b'{"create": {}}\n'
TIMES = 8
UNEVEN = 4
"""So many times as long as expected may be chance: what grows with the square takes `TIMES` times as long."""


def at(number: int) -> dict[str, object]:
    return {"serviceName": f"s{number}"}


def notes(count: int) -> bytes:
    each = [{"timestamp": 1, "value": "cs", "endpoint": at(number)} for number in range(count)]
    return json.dumps([{**SPAN, "annotations": each}]).encode()


def tags(count: int) -> bytes:
    each = [{"key": "k", "value": "v", "endpoint": at(number)} for number in range(count)]
    return json.dumps([{**SPAN, "binaryAnnotations": each}]).encode()


def halves(count: int) -> bytes:
    return json.dumps([{**SPAN, "shared": True, "localEndpoint": at(number)} for number in range(count)]).encode()


def references(count: int) -> bytes:
    each = [{"refType": "CHILD_OF", "traceID": "a", "spanID": "b"}] * count
    return json.dumps({"traceID": "a", "spans": [{"spanID": "a", "references": each}]}).encode()


def resources(count: int) -> bytes:
    return b"".join(ACTION + json.dumps({"service": {f"k{n}": n}}).encode() + b"\n" for n in range(count))


def fields(count: int) -> bytes:
    return ACTION + json.dumps({f"k{number}": number for number in range(count)}).encode() + b"\n"


def repeated(piece: bytes, *, after: bytes = b"") -> Callable[[int], bytes]:
    return lambda count: after + piece * count


INPUTS: Mapping[str, tuple[str, int, Callable[[int], bytes]]] = {
    "Zipkin v1, a side each": ("zipkin_v1", 1000, notes),
    "Zipkin v1, a tag of another side each": ("zipkin_v1", 1000, tags),
    "Zipkin v2, halves of one call": ("zipkin_v2", 500, halves),
    "Jaeger, references": ("jaeger", 500, references),
    "documents, a resource each": ("elastic_bulk", 500, resources),
    "a document of many fields": ("elastic_bulk", 1000, fields),
    "quotes that stay open": ("lines", 1000, repeated(b'a="\\" ')),
    "what may be IDs": ("lines", 1000, repeated(b"trace_id=[0af7-")),
    "an access log's line that is none": (
        "lines",
        500,
        repeated(b'"\\" ', after=b'1 - - [02/Jan/2026:03:04:05 +0100] "'),
    ),
    "structured data that stays open": ("syslog", 500, repeated(b' a="\\"', after=b"<13>1 - h a - - [x")),
    "bytes after a count": ("frames", 4000, repeated(b"1x", after=b"5 <1>ab")),
    "lines of nothing": ("multiline", 4000, repeated(b"\r\n")),
    "tracebacks": ("multiline", 500, repeated(b"Traceback (most recent call last):\n")),
    "lines of many kinds": ("files", 300, repeated(b'{"a": 1}\n{"traceId": "a", "id": "a"}\n[]\n')),
}


@pytest.mark.parametrize(("target", "count", "make"), INPUTS.values(), ids=INPUTS.keys())
def test_time_grows_with_the_length(target: str, count: int, make: Callable[[int], bytes]) -> None:
    check = TARGETS[target].check

    short_s = min(cpu_s(lambda: check(make(count))) for _ in range(3))
    long_s = min(cpu_s(lambda: check(make(TIMES * count))) for _ in range(2))

    assert long_s < UNEVEN * TIMES * max(short_s, 0.002), f"{short_s:.3f} s, then {long_s:.3f} s"


def cpu_s(run: Callable[[], None]) -> float:
    started_s = time.thread_time()
    run()
    return time.thread_time() - started_s
