"""`/metrics`: what Prometheus gets, by Prometheus's own parsers."""

import re
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from clew_collector.spool import Series
from clew_server.metrics import METRICS, exposition
from clew_server.process_metrics import process_families, processes
from clew_server.snapshot import Snapshot
from tests.server.snapshots import SOME_COUNTERS, a_dead_letter, a_reader, a_snapshot, waiting

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
FULL = a_snapshot(
    counters=SOME_COUNTERS,
    spool=waiting(4, bytes=900, age_s=12.5),
    readers=(a_reader(waiting=waiting(4), logs=0.25, traces=0.5), a_reader("zipkin", outage="away")),
    dead_letters=(a_dead_letter(),),
)

Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def values(snapshot: Snapshot = FULL, *, accept: str = "") -> Values:
    text, _ = exposition(lambda: snapshot, accept=accept)
    parse = parse_openmetrics if accept else parse_text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def value(name: str, **labels: str) -> float:
    return values()[name, frozenset(labels.items())]


def test_each_metric_has_its_value_by_its_labels() -> None:
    assert value("clew_accepted_records_total", receiver="otlp_http", signal="traces", service="orders") == 7
    assert value("clew_accepted_records_total", receiver="zipkin", signal="traces", service="orders") == 11
    assert value("clew_duplicate_records_total", receiver="otlp_http", signal="logs", service="orders") == 3
    assert value("clew_refused_total", receiver="otlp_http", signal="logs", reason="bad payload") == 4
    assert value("clew_dropped_records_total", source="store", signal="logs", reason="poison payload") == 1
    assert value("clew_written_records_total", reader="store", signal="logs") == 6
    assert value("clew_thinned_records_total", reader="store", signal="logs") == 8
    assert value("clew_stored_records", signal="logs") == 3
    assert value("clew_stored_records", signal="traces") == 2
    assert value("clew_spool_payloads") == 4
    assert value("clew_spool_bytes") == 900
    assert value("clew_spool_max_bytes") == 1_000
    assert value("clew_spool_oldest_age_seconds") == 12.5
    assert value("clew_reader_waiting_payloads", reader="store") == 4
    assert value("clew_reader_lag_seconds", reader="store", signal="traces") == 0.5
    assert value("clew_reader_available", reader="store") == 1
    assert value("clew_reader_available", reader="zipkin") == 0
    assert value("clew_dead_letters") == 1


def test_series_that_differ_in_what_is_no_label_are_one_sample() -> None:
    counters = {
        Series("refused", "logs", "no key", "otlp_http", "orders"): 1,
        Series("refused", "logs", "no key", "otlp_http", "web"): 2,
    }

    assert ("clew_refused_total", frozenset({("receiver", "otlp_http"), ("signal", "logs"), ("reason", "no key")})) in (
        values(a_snapshot(counters=counters))
    )
    assert 3.0 in values(a_snapshot(counters=counters)).values()


def test_a_service_with_any_name_is_a_valid_label() -> None:
    odd = 'a "quoted"\\name\nin two lines'
    counters = {Series("accepted", "logs", "", "syslog", odd): 1}

    for accept in ("", OPENMETRICS):
        labels = frozenset({("receiver", "syslog"), ("signal", "logs"), ("service", odd)})
        assert values(a_snapshot(counters=counters), accept=accept)["clew_accepted_records_total", labels] == 1


def test_openmetrics_is_given_to_who_asks_for_it_and_is_valid() -> None:
    text, content_type = exposition(lambda: FULL, accept=OPENMETRICS)
    plain, plain_type = exposition(lambda: FULL, accept="*/*")

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")
    assert plain_type.startswith("text/plain")
    assert values(accept=OPENMETRICS).keys() >= {key for key in values() if key[0].startswith("clew_")}
    assert b"# EOF" not in plain


def test_an_empty_collector_has_valid_metrics() -> None:
    assert values(a_snapshot(readers=()))
    assert values(a_snapshot(readers=()), accept=OPENMETRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_keep_to_the_rules(metric: object) -> None:
    """https://prometheus.io/docs/practices/naming/: a prefix, base units, `_total` on counters and nowhere else."""
    name, kind, labels = metric.name, metric.kind, metric.labels  # type: ignore[attr-defined]

    assert re.fullmatch("clew_[a-z]+(_[a-z]+)*", name)
    assert name.endswith("_total") == (kind == "counter")
    assert not re.search("_(ms|milliseconds|minutes|kb|mb)(_|$)", name)
    assert not {"le", "quantile", "job", "instance", "process"} & set(labels)
    assert metric.says.endswith(".")  # type: ignore[attr-defined]


def test_nothing_is_asked_twice_for_one_scrape() -> None:
    taken: list[None] = []

    def take() -> Snapshot:
        taken.append(None)
        return FULL

    exposition(take, accept="")

    assert len(taken) == 1


def test_processes_are_the_siblings_that_run_a_module_of_ours(tmp_path: Path) -> None:
    lay_out(
        tmp_path, {"11": b"python\0-m\0clew_server.intake\0", "12": b"python\0-m\0clew_server.store\0", "13": b"sh\0"}
    )

    assert processes(tmp_path) == {"intake": 11, "store": 12}


def test_without_proc_there_are_no_metrics_of_processes(tmp_path: Path) -> None:
    assert processes(tmp_path) == {}
    assert list(process_families(proc=tmp_path)) == []


def lay_out(proc: Path, children: dict[str, bytes]) -> None:
    (proc / "self").mkdir()
    (proc / "self" / "stat").write_text("12 (a (very) odd name) S 7 12")
    (proc / "7" / "task" / "7").mkdir(parents=True)
    (proc / "7" / "task" / "7" / "children").write_text(" ".join(children))
    for pid, command in children.items():
        (proc / pid).mkdir()
        (proc / pid / "cmdline").write_bytes(command)
