"""What the page says of a collector's answers, bounds and files, held against the code and against a running one."""

import re
import shlex
import socket
from pathlib import Path

import httpx
import pytest

from clew_collector.config.collector import SpoolConfig
from clew_collector.errors import BadPayload, ClewError, PayloadTooLarge, RateLimited, SpoolFull, StoreUnavailable
from clew_collector.payload import digest_of, payload_of
from clew_collector.receivers.answering import RETRY_AFTER_S, Unsupported, status_of
from clew_collector.receivers.elastic_bulk import ElasticBulkConfig
from clew_collector.receivers.grpc_refusal import CallBrokenOff, CallTooSlow, reason_of
from clew_collector.receivers.otlp_http import OtlpHttpConfig
from clew_collector.receivers.patience import Patience
from clew_collector.spool import DIGEST_MEMORY_S, Spool
from clew_collector.spool.dead_letters import MAX_BYTES
from clew_server.listeners import LISTENERS
from clew_server.process import KEEP_ALIVE_S
from tests.collector.otlp_builders import a_log, logs
from tests.docs.pages import DOCS, read_page
from tests.server.running_clew import clew, clew_up

PAGE = "reference/collector.md"
TEXT = (DOCS / PAGE).read_text()
ANSWERS = TEXT.partition("## Answers")[2].partition("##")[0]
REFUSALS = (
    BadPayload("x"),
    PayloadTooLarge("x"),
    SpoolFull("x"),
    RateLimited("x"),
    StoreUnavailable("x"),
    *(Unsupported("x", status=status) for status in (404, 405, 415)),
)


def section(title: str) -> str:
    return TEXT.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("page", ["README.md", f"docs/{PAGE}"])
def test_every_port_is_named(page: str) -> None:
    text = (DOCS.parent / page).read_text()

    assert [each.name for each in LISTENERS if not re.search(rf"\| [^|]*\b{each.default_port}\b", text)] == []


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: f"{type(error).__name__} {status_of(error)[0]}")
def test_every_refusal_has_its_row_and_its_reason(error: ClewError) -> None:
    status, reason = status_of(error)

    [row] = [line for line in ANSWERS.splitlines() if re.match(rf"\| [^|]*\b{status}\b", line)]
    assert ("with `Retry-After`" in row) == (status in (429, 503))
    assert re.search(rf"`{reason}`[^(]*\([^)]*\b{status}\b", ANSWERS)


def test_the_reasons_of_grpc_are_named() -> None:
    assert [each for each in map(reason_of, (CallBrokenOff(), CallTooSlow())) if f"`{each}`" not in ANSWERS] == []


def test_the_bounds_are_those_of_the_code() -> None:
    patience, bulk = Patience(), ElasticBulkConfig()

    assert f"more than {patience.head_s:g} s" in ANSWERS
    assert f"{patience.body_s:g} s and a second for each {patience.min_body_bytes_per_s >> 10} KB" in ANSWERS
    assert f"over {patience.max_head_bytes >> 10} KB" in ANSWERS
    assert f"({OtlpHttpConfig().max_body_bytes >> 20} MB, `_bulk` {bulk.max_body_bytes >> 20} MB)" in ANSWERS
    assert f"`Retry-After` is {RETRY_AFTER_S} seconds" in ANSWERS
    assert f"closed after {KEEP_ALIVE_S} s" in ANSWERS
    assert f"within {DIGEST_MEMORY_S // 60} minutes" in section("What is kept, and how safely")
    assert f"{SpoolConfig().max_bytes >> 30} GiB" in section("Limits of the spool")
    assert f"{SpoolConfig().reserve_bytes >> 20} MiB" in section("Limits of the spool")
    assert f"{MAX_BYTES >> 20} MiB" in section("Dead letters")


def test_every_file_of_a_data_directory_is_named(tmp_path: Path) -> None:
    with clew_up(tmp_path) as running:
        body = logs(a_log()).SerializeToString()
        httpx.post(f"{running.otlp_url}/v1/logs", content=body, headers={"content-type": "application/x-protobuf"})
        running.wait_for(
            lambda: httpx.get(f"{running.dashboard_url}/health?format=json").json()["stored"]["logs"], bool
        )
        files = {path.name for path in tmp_path.iterdir()}

    rows = [line.split("|")[1] for line in section("The data directory").splitlines() if line.startswith("| `")]
    bases = {name for row in rows for name in re.findall(r"`([\w.]+)`", row) if not name.startswith(".")}
    endings = {ending for row in rows for ending in re.findall(r"`([.-]\w+)`", row)}
    assert {"logs.duckdb", "spool.sqlite", "clew.lock"} <= files
    assert files - {base + ending for base in bases for ending in ("", *endings)} == set()


def test_the_option_opens_both_of_otlps_ports_to_other_machines(tmp_path: Path) -> None:
    assert "`--otlp-host` does so for 4318 and 4317" in TEXT

    with clew_up(tmp_path, "--otlp-host", "0.0.0.0") as running:
        # On Linux every address that begins with 127 is this machine's, and 127.0.0.1 is another one.
        for address in (running.otlp_url.partition("//")[2], running.urls["grpc"]):
            socket.create_connection(("127.0.0.2", int(address.rpartition(":")[2])), timeout=10).close()


def test_the_commands_about_dead_letters_do_what_the_page_says(tmp_path: Path) -> None:
    reason = "cannot be stored: [column] " + "is full " * 30
    spool = Spool(tmp_path / "spool.sqlite")
    request = logs(a_log("paid by bob"))
    spool.append([payload_of("logs", request, digest=digest_of("logs", b""))], sources=["otlp_http"])
    [payload] = spool.take("logs", after_id=-1, max_records=10, max_bytes=1 << 20)
    spool.set_aside("logs", payload, reason)
    spool.advance("logs", payload.id)
    spool.close()

    said = {}
    for command in read_page(PAGE).commands:
        _, *arguments = shlex.split(command)
        done = clew(*arguments, "--data", str(tmp_path))
        assert done.returncode == 0, done.stderr
        said[arguments[1]] = done.stdout

    assert reason.strip() in said["list"]
    assert "stringValue" in said["show"]
    assert "bob" not in said["show"]
    assert "1 waits to be stored again" in said["replay"]
