import gzip
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew_collector.wire.otlp.files import FilePayload, Refusal, read_payloads
from tests.collector.otlp_builders import a_log, a_span, logs, traces

LINE = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "one"}}]}]}]})
LOGS = logs(a_log(), a_log()).SerializeToString()
TRACES = traces(a_span()).SerializeToString()


def read(data: bytes) -> tuple[list[FilePayload], list[Refusal]]:
    items = list(read_payloads(io.BytesIO(data)))
    return (
        [item for item in items if isinstance(item, FilePayload)],
        [item for item in items if isinstance(item, Refusal)],
    )


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def test_json_lines_are_read_each_for_itself_and_a_bad_one_is_named() -> None:
    taken, refused = read(f"{LINE}\n\n{{oops\n{LINE}\n".encode())

    assert [item.place for item in taken] == ["line 1", "line 4"]
    assert [(item.place, item.reason[:8]) for item in refused] == [("line 3", "not JSON")]


def test_a_json_document_over_many_lines_is_one_payload() -> None:
    taken, refused = read(json.dumps(json.loads(LINE), indent=2).encode())

    assert ([item.records for item in taken], refused) == ([1], [])


@pytest.mark.parametrize(("body", "signal", "records"), [(LOGS, "logs", 2), (TRACES, "traces", 1)])
@pytest.mark.parametrize("zipped", [False, True])
def test_a_protobuf_dump_is_told_apart_by_its_records(body: bytes, signal: str, records: int, zipped: bool) -> None:
    taken, refused = read(gzip.compress(body) if zipped else body)

    assert [(item.signal, item.records, item.body) for item in taken] == [(signal, records, body)]
    assert refused == []


def test_messages_with_their_length_before_them_are_read_in_order() -> None:
    bodies = [LOGS, TRACES, LOGS]

    by_four_bytes, _ = read(b"".join(len(body).to_bytes(4, "big") + body for body in bodies))
    by_varint, _ = read(b"".join(varint(len(body)) + body for body in bodies))

    for taken in (by_four_bytes, by_varint):
        assert [item.signal for item in taken] == ["logs", "traces", "logs"]


def test_metrics_are_refused_with_the_reason() -> None:
    _, [refused] = read(b'{"resourceMetrics": []}')

    assert refused.reason == "metrics are not kept"


def test_gzip_that_breaks_off_gives_what_came_before_and_a_refusal() -> None:
    lines = "\n".join(LINE.replace("one", str(n)) for n in range(5000)).encode()
    whole = gzip.compress(lines, compresslevel=0)

    taken, refused = read(whole[: len(whole) // 2])

    assert len(taken) > 1000
    assert refused[-1].place == "the rest of the file"


def test_an_empty_file_is_refused() -> None:
    assert read(b"")[1][0].reason == "it is empty"


@given(st.binary(max_size=300) | st.text(max_size=100).map(str.encode))
def test_no_bytes_make_the_reader_fail(data: bytes) -> None:
    read(data)
    read(gzip.compress(data)[:-3])
    read(LINE.encode() + b"\n" + data)


def test_the_examples_of_the_specification_are_read() -> None:
    folder = Path(__file__).parents[2] / "data" / "otlp-examples"

    found = {path.stem: read(path.read_bytes()) for path in folder.glob("*.json")}

    assert {name: [(item.signal, item.records) for item in taken] for name, (taken, _) in found.items()} == {
        "trace": [("traces", 1)],
        "logs": [("logs", 1)],
        "events": [("logs", 1)],
        "metrics": [],
    }
