"""An archive has each record once, whatever dies in the middle, and can be read by others."""

import gzip
import io
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.message import Message
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pydantic import ValidationError

from clew_collector.errors import ConfigError
from clew_collector.model import Signal
from clew_collector.sinks.base import Outgoing, SinkUnavailable
from clew_collector.sinks.file import FileSink, FileSinkConfig
from clew_collector.wire.otlp.from_json import parse_json
from tests.collector.otlp_builders import SPAN, T0_NS, TRACE, a_log, a_span, attributes, logs, traces
from tests.collector.sinks.outgoing import outgoing, outgoing_bodies
from tests.servers.minio import KEY

DATA = Path(__file__).parents[2] / "data"
ROOT = Path(__file__).parents[3]
HOUR_NS = 3600 * 10**9

Form = dict[str, Any]


def files_in(folder: Path) -> dict[str, bytes]:
    """All files by their paths."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def forms_in(files: dict[str, bytes]) -> list[Form]:
    """The records in files, in the order of their names."""
    found: list[Form] = []
    for name in sorted(files):
        if name.endswith(".parquet"):
            table = pq.read_table(io.BytesIO(files[name]))
            found += [decoded(form) for form in table.to_pylist()]
        else:
            lines = pa.CompressedInputStream(io.BytesIO(files[name]), "zstd").read()
            found += map(orjson.loads, bytes(lines).splitlines())
    return found


def decoded(form: Form) -> Form:
    """A row of Parquet, with what is JSON in it as what it says."""
    is_json = {"body", "attributes", "resource", "events", "links"}
    return {name: orjson.loads(value) if name in is_json else value for name, value in form.items()}


def numbered(first: int, last: int, *, hours: int = 0, attempted_id: int = -1) -> Outgoing:
    """Payloads whose only record says which one it is, that came so many hours after the epoch."""
    batch = outgoing(*(logs(a_log(str(number))) for number in range(first, last + 1)), first_id=first)
    payloads = [replace(payload, received_ns=hours * HOUR_NS) for payload in batch.payloads]
    return replace(batch, payloads=payloads, attempted_id=attempted_id)


def bodies(files: dict[str, bytes]) -> list[str]:
    return [form["body"] for form in forms_in(files)]


def texts(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def sink_to(url: str | Path, **settings: Any) -> FileSink:
    return FileSink(FileSinkConfig(url=str(url), **settings))


@pytest.fixture(params=["ndjson", "parquet"])
def format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("signal", ["logs", "traces"])
def test_real_records_are_all_there(tmp_path: Path, format: str, signal: Signal) -> None:
    lines = gzip.decompress((DATA / "nezha" / f"{signal}.otlp.jsonl.gz").read_bytes()).splitlines()
    batch = outgoing_bodies(signal, [parse_json(signal, line).SerializeToString() for line in lines])

    sink_to(tmp_path, format=format).write(batch)

    files = files_in(tmp_path)
    assert len(forms_in(files)) == {"logs": 6_142, "traces": 11_969}[signal]
    assert len(files) == 1
    if signal == "traces":
        assert len({form["trace_id"] for form in forms_in(files)}) == 183


VALUES: Form = {
    "text": 'a "b"\n',
    "int": -7,
    "yes": True,
    "half": 0.5,
    "none": None,
    "list": ["a", [1]],
    "map": {"k": 1},
}


def test_a_span_is_what_the_pages_show(tmp_path: Path, format: str) -> None:
    span = a_span(
        "GET",
        parent="0a" * 8,
        error="no",
        correlation_id="c-1",
        more=VALUES,
        events=[Span.Event(time_unix_nano=T0_NS, name="e", attributes=attributes(VALUES))],
        links=[Span.Link(trace_id=bytes.fromhex(TRACE), span_id=bytes.fromhex(SPAN), attributes=attributes(VALUES))],
    )

    sink_to(tmp_path, format=format).write(outgoing(traces(span)))

    [form] = forms_in(files_in(tmp_path))
    assert form == {
        "trace_id": TRACE,
        "span_id": SPAN,
        "parent_span_id": "0a" * 8,
        "correlation_id": "c-1",
        "service": "inventory",
        "name": "GET",
        "kind": "server",
        "start_ns": T0_NS,
        "duration_ns": 5_000_000,
        "status": "error",
        "status_message": "no",
        "scope": "tests",
        "attributes": {"correlation.id": "c-1"} | VALUES,
        "resource": {"service.name": "inventory"},
        "events": [{"time_ns": T0_NS, "name": "e", "attributes": VALUES}],
        "links": [{"trace_id": TRACE, "span_id": SPAN, "attributes": VALUES}],
    }


@pytest.mark.parametrize("body", ["text\n", {"k": [1, None]}, ["a"], 7, True, None])
def test_a_log_record_keeps_what_its_body_is(tmp_path: Path, format: str, body: Any) -> None:
    sink_to(tmp_path, format=format).write(
        outgoing(logs(a_log(body, severity=17, more=VALUES), a_log(trace="", span="")))
    )

    first, second = forms_in(files_in(tmp_path))
    assert first["body"] == body
    assert first["attributes"] == VALUES
    assert (first["time_ns"], first["severity_number"], first["trace_id"]) == (T0_NS + 1_000_000, 17, TRACE)
    assert (second["trace_id"], second["correlation_id"]) == (None, None)


def test_files_are_named_by_their_payloads_in_folders_by_the_hour_of_arrival(tmp_path: Path) -> None:
    early, late = numbered(1, 2), numbered(3, 4)
    payloads = [*early.payloads, *(replace(each, received_ns=25 * HOUR_NS) for each in late.payloads)]
    both = outgoing(*(logs(a_log(str(number))) for number in range(1, 5)))

    sink_to(tmp_path).write(replace(both, payloads=payloads))

    assert sorted(files_in(tmp_path)) == [
        "logs/1970-01-01/00/000000000001-000000000002.ndjson.zst",
        "logs/1970-01-02/01/000000000003-000000000004.ndjson.zst",
    ]
    assert bodies(files_in(tmp_path)) == texts(1, 4)


def test_only_the_owner_can_read_them(tmp_path: Path) -> None:
    sink_to(tmp_path / "archive").write(numbered(1, 2))

    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "archive").rglob("*.zst")}
    assert modes == {0}


AGAIN: dict[str, list[tuple[int, int, int]]] = {
    "the same": [(1, 10, -1), (1, 10, 10)],
    "with more behind": [(1, 10, -1), (1, 15, 10), (16, 20, 10)],
    "in parts": [(1, 10, -1), (1, 5, 10), (6, 20, 10)],
    "never arrived": [(1, 4, 10), (5, 10, 10)],
    "twice": [(1, 4, -1), (1, 8, 4), (1, 12, 8)],
}


@pytest.mark.parametrize("batches", AGAIN.values(), ids=AGAIN.keys())
def test_what_is_given_again_is_kept_once(tmp_path: Path, format: str, batches: list[tuple[int, int, int]]) -> None:
    sink = sink_to(tmp_path, format=format)

    for first, last, attempted_id in batches:
        sink.write(numbered(first, last, attempted_id=attempted_id))

    assert bodies(files_in(tmp_path)) == texts(1, max(last for _, last, _ in batches))


def test_files_of_another_collector_are_not_taken_for_our_own(tmp_path: Path) -> None:
    sink_to(tmp_path).write(numbered(1, 10))

    with pytest.raises(SinkUnavailable, match="holds payload 3, which this collector has not written"):
        sink_to(tmp_path).write(numbered(1, 3))

    assert bodies(files_in(tmp_path)) == texts(1, 10)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "1970-01-01" / "00"
    folder.mkdir(parents=True)
    (folder / "README").write_text("mine")

    sink_to(tmp_path).write(numbered(1, 2))

    assert (folder / "README").read_text() == "mine"
    assert len(files_in(tmp_path)) == 2


def test_nothing_left_by_processors_is_no_file(tmp_path: Path) -> None:
    sink_to(tmp_path).write(replace(numbered(1, 2), select=f"SELECT * FROM ({numbered(1, 2).select}) WHERE false"))

    assert files_in(tmp_path) == {}


KILLED = """
import sys
from tests.collector.sinks.test_file import numbered, sink_to
sink = sink_to(sys.argv[1])
print("ready", flush=True)
for number in range(1, 10_000):
    sink.write(numbered(number, number))
    print(number, flush=True)
"""


def test_kill_nine_leaves_no_half_file_and_loses_nothing(tmp_path: Path) -> None:
    acknowledged = 0
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        stop_at = random.randint(3, 15)
        for line in process.stdout:
            if line.strip() == str(stop_at):
                process.send_signal(signal.SIGKILL)
            acknowledged = int(line) if line.strip().isdigit() else acknowledged

    sink_to(tmp_path).write(numbered(1, acknowledged + 5, attempted_id=acknowledged + 1))

    whole = {name: content for name, content in files_in(tmp_path).items() if not name.startswith(".")}
    assert bodies(whole) == texts(1, acknowledged + 5)


def fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass


def test_a_full_disk_is_tried_again(small_disk: Path) -> None:
    filler = small_disk / "filler"
    sink = sink_to(small_disk / "archive")
    fill(filler)
    with pytest.raises(SinkUnavailable, match="No space left"):
        sink.write(numbered(1, 2_000))
    filler.unlink()

    sink.write(numbered(1, 2_000, attempted_id=2_000))

    whole = {name: content for name, content in files_in(small_disk / "archive").items() if not name.startswith(".")}
    assert bodies(whole) == texts(1, 2_000)


class Bucket:
    """A new bucket in a real server of S3's protocol."""

    def __init__(self, url: str) -> None:
        self.endpoint = url
        self.name = f"archive-{random.getrandbits(48):x}"
        access = {"aws_access_key_id": KEY, "aws_secret_access_key": KEY, "region_name": "us-east-1"}
        self._client = boto3.client("s3", endpoint_url=url, **access)
        self._client.create_bucket(Bucket=self.name)

    def sink(self, **settings: Any) -> FileSink:
        s3 = {"endpoint": self.endpoint, "access_key": KEY, "secret_key": KEY, "region": "us-east-1"}
        return sink_to(f"s3://{self.name}/clew/", s3=s3, **settings)

    def files(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=self.name).get("Contents", [])
        keys = [item["Key"] for item in listed]
        return {key: self._client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in keys}


@pytest.fixture
def bucket(s3_url: str) -> Bucket:
    return Bucket(s3_url)


@pytest.mark.parametrize("batches", AGAIN.values(), ids=AGAIN.keys())
def test_in_a_bucket_what_is_given_again_is_kept_once(bucket: Bucket, batches: list[tuple[int, int, int]]) -> None:
    sink = bucket.sink(format="parquet")

    for first, last, attempted_id in batches:
        sink.write(numbered(first, last, attempted_id=attempted_id))

    files = {name: content for name, content in bucket.files().items() if content}
    assert bodies(files) == texts(1, max(last for _, last, _ in batches))
    assert all(name.startswith("clew/logs/1970-01-01/00/") for name in files)


def test_a_bucket_that_is_not_there_is_tried_again(bucket: Bucket) -> None:
    s3 = {"endpoint": bucket.endpoint, "access_key": KEY, "secret_key": KEY, "region": "us-east-1"}
    with pytest.raises(SinkUnavailable, match=r"NoSuchBucket|NO_SUCH_BUCKET|does not exist|not found"):
        sink_to(f"s3://{bucket.name}-not/clew", s3=s3).write(numbered(1, 2))


@pytest.mark.parametrize(
    "settings",
    [
        {"url": ""},
        {"url": "gs://bucket"},
        {"url": "/archive", "s3": {}},
        {"url": "s3://b", "s3": {"access_key": "a"}},
        {"url": "s3://b", "s3": {"endpoint": "minio:9000"}},
        {"url": "/archive", "format": "csv"},
        {"url": "/archive", "signals": []},
    ],
)
def test_a_wrong_setting_is_refused(settings: Form) -> None:
    with pytest.raises(ValidationError):
        FileSinkConfig.model_validate(settings)


def test_a_folder_that_cannot_be_made_is_known_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot be used as an archive"):
        sink_to(tmp_path / "file" / "archive")


def test_a_signal_that_is_not_asked_for_is_left_alone(tmp_path: Path) -> None:
    request: Message = traces(a_span())

    assert sink_to(tmp_path, signals=["logs"]).write(outgoing(request)) == []
    assert files_in(tmp_path) == {}
