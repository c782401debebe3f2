from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew_collector.config import CollectorConfig
from clew_collector.config.yaml_file import load_config
from clew_collector.errors import ConfigError

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
"""Aliases of aliases, which stand for 86 million values."""


def load(tmp_path: Path, text: str, *, environ: dict[str, str] | None = None, **how: Any) -> CollectorConfig:
    path = tmp_path / "clew.yaml"
    path.write_text(text)
    return load_config(path, environ=environ or {}, **how)


def mistakes(tmp_path: Path, text: str, **how: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **how)
    return [line.removeprefix(f"{tmp_path}/") for line in str(caught.value).splitlines()]


def test_without_a_file_all_is_at_its_default() -> None:
    config = load_config(None, environ={})

    assert config == CollectorConfig()
    assert config.receivers.otlp_http.host == "127.0.0.1"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "receivers:\n  zipkin: {}\n"])
def test_an_empty_file_is_no_mistake(tmp_path: Path, text: str) -> None:
    assert load(tmp_path, text) == CollectorConfig()


def test_what_is_given_on_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    text = "data: /srv\ndashboard:\n  port: 1\nreceivers:\n  zipkin:\n    port: 2\n    host: 0.0.0.0\n"

    config = load(tmp_path, text, overrides={"receivers": {"zipkin": {"port": 3}}})

    zipkin = config.receivers.zipkin
    assert (config.data, config.dashboard.port, zipkin.port, zipkin.host) == (Path("/srv"), 1, 3, "0.0.0.0")


def test_a_variable_is_put_in_with_the_type_that_it_has(tmp_path: Path) -> None:
    text = (
        "data: ${HOME}/clew\nreceivers:\n  zipkin: {port: '${PORT}', enabled: '${ON}'}\n  syslog:\n    port: ${PORT}\n"
    )

    config = load(tmp_path, text, environ={"HOME": "/h", "PORT": "81", "ON": "false"})

    assert (config.data, config.receivers.zipkin.port, config.receivers.syslog.port) == (Path("/h/clew"), 81, 81)
    assert not config.receivers.zipkin.enabled


def test_a_variable_may_have_a_default_and_a_dollar_sign_may_be_one(tmp_path: Path) -> None:
    config = load(tmp_path, "data: ${DATA:-/d}/$$HOME\n", environ={"HOME": "/h"})

    assert config.data == Path("/d/$HOME")


def test_a_variable_brings_no_structure_with_it(tmp_path: Path) -> None:
    config = load(tmp_path, "data: ${DATA}\n", environ={"DATA": "x\ndashboard: {port: 1}"})

    assert config.dashboard.port == 8840


def test_a_variable_that_is_not_set_is_named_with_its_line(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "\n\ndata: ${DATA}\n") == [
        "clew.yaml:3: the environment variable DATA is not set; ${DATA:-...} gives it a default"
    ]


def test_every_mistake_is_told_with_its_line_and_what_would_be_right(tmp_path: Path) -> None:
    text = "receivers:\n  zipkin:\n    port: 70000\n    hots: x\n  syslog:\n    tls:\n      key: a\nspol: {}\n"

    told = mistakes(tmp_path, text)

    assert told == [
        "clew.yaml:3: receivers.zipkin.port: must be at most 65535, got 70000",
        "clew.yaml:4: receivers.zipkin.hots: there is no such setting; did you mean host?",
        "clew.yaml:6: receivers.syslog.tls.certificate: must be given",
        "clew.yaml:8: spol: there is no such setting; did you mean spool?",
    ]


WORDED = {
    "receivers: here": "1: receivers: must be settings by name, got 'here'",
    "receivers: {zipkin: {port: many}}": "1: receivers.zipkin.port: must be a whole number, got 'many'",
    "receivers: {zipkin: {enabled: perhaps}}": "1: receivers.zipkin.enabled: must be true or false, got 'perhaps'",
    "receivers: {zipkin: {host: ''}}": "1: receivers.zipkin.host: must not be empty, got ''",
    "receivers: {tail: a.log}": "1: receivers.tail: must be a list, got 'a.log'",
    "receivers: {tail: [{paths: []}]}": "1: receivers.tail.0.paths: must not be empty",
    "receivers: {tail: [{paths: [a], start_at: now}]}": (
        "1: receivers.tail.0.start_at: must be 'end' or 'beginning', got 'now'"
    ),
    "receivers: {tail: [{paths: [a], multiline: '('}]}": (
        "1: receivers.tail.0.multiline: must be auto, off or a regular expression, got '(': "
        "missing ), unterminated subpattern at position 0"
    ),
    "receivers:\n  tail:\n  - paths: [a]\n    formt: json": (
        "4: receivers.tail.0.formt: there is no such setting; did you mean format?"
    ),
    "receivers: {kafka: [{brokers: [b:1], topics: {spans: t}}]}": (
        "1: receivers.kafka.0.topics.spans: must be 'logs' or 'traces', got 'spans'"
    ),
    "receivers: {kafka: [{brokers: [b:1], security: {protocol: SASL_SSL}}]}": (
        "1: receivers.kafka.0.security: SASL_SSL needs user and password"
    ),
    "processors:\n- type: redact\n  keyz: [a]": ("3: processors.0.keyz: there is no such setting; did you mean keys?"),
    "processors:\n- keys: [a]\n  type: redakt": "3: processors.0.type: there is no 'redakt'; did you mean redact?",
    "sinks:\n- type: elasticsearch\n  url: http://a:9200\n  urls: ['http://a:9200']": (
        "3: sinks.0.url: there is no such setting; did you mean urls?"
    ),
    "sinks:\n- name: a": "2: sinks.0.type: must be given; there are elasticsearch, zipkin, otlp, kafka, file",
    "sinks: [a]": "1: sinks.0: must be settings by name, got 'a'",
    "sinks: [{type: zipkin, url: 'ftp://a'}]": "1: sinks.0.url: must begin with 'http' or 'https', got 'ftp://a'",
    "sinks: [{type: otlp, url: 'http://a', tls: {certifcate: a}}]": (
        "1: sinks.0.tls.certifcate: there is no such setting; did you mean certificate?"
    ),
    "processors:\n- type: enrich\n  tags:\n    a: [b]": (
        "4: processors.0.tags.a: must be text, a number, or true or false"
    ),
    "processors: [{type: sample, ratio: .inf}]": "1: processors.0.ratio: must be at most 1, got inf",
    "spool: {max_age_s: 0}": "1: spool.max_age_s: must be greater than 0, got 0",
}


@pytest.mark.parametrize("text", WORDED)
def test_a_mistake_is_told_in_our_words_where_it_is(tmp_path: Path, text: str) -> None:
    assert mistakes(tmp_path, text) == [f"clew.yaml:{WORDED[text]}"]


@pytest.mark.parametrize("given", ["hush", "12"])
def test_a_secret_that_cannot_be_one_is_not_shown(tmp_path: Path, given: str) -> None:
    text = f"processors: [{{type: redact, keys: [a], action: hash, salt: '{given}'}}]"

    [told] = mistakes(tmp_path, text)

    assert told == "clew.yaml:1: processors.0.salt: must not be shorter than 8"


def test_tls_1_3_alone_cannot_be_asked_for_over_grpc(tmp_path: Path) -> None:
    tls = "tls: {certificate: a, key: b, min_version: 1.3}"

    [told] = mistakes(tmp_path, f"receivers:\n  otlp_http: {{{tls}}}\n  otlp_grpc: {{{tls}}}\n")

    assert told.startswith("clew.yaml:3: receivers.otlp_grpc.tls: min_version 1.3 cannot be had over gRPC")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("data: [", "clew.yaml:1: not YAML"),
        ("- a\n- b\n", "clew.yaml:1: must be settings by name"),
        ("data: a\ndata: b\n", "clew.yaml:2: data is there twice"),
        ("data: !!python/object:os.system x\n", "clew.yaml:1: cannot be read"),
        ("a: *nobody\n", "clew.yaml:1: not YAML"),
        ("a: " + "[" * 500, "clew.yaml: nested too deeply"),
        ("a: &a [*a]\n", "clew.yaml: nested too deeply"),
        ("data: !!timestamp 9999\n", "clew.yaml:1: cannot be read"),
        (LAUGHS, "clew.yaml:1: more than 100000 values"),
    ],
)
def test_what_is_no_configuration_is_told_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    [told] = mistakes(tmp_path, text)

    assert told.startswith(said)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*/absent.yaml: No such file"):
        load_config(tmp_path / "absent.yaml", environ={})


def test_a_file_may_share_settings_by_anchors(tmp_path: Path) -> None:
    text = "receivers:\n  zipkin: &open\n    host: 0.0.0.0\n  syslog:\n    <<: *open\n    port: 514\n"

    config = load(tmp_path, text)

    assert (config.receivers.syslog.host, config.receivers.syslog.port) == ("0.0.0.0", 514)


@given(text=st.text() | st.from_regex(r"(data|receivers|[a-z]+): ?[\[{&*!|>'\"$a-z0-9: \n-]{0,40}"))
def test_no_file_does_worse_than_a_config_error(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")

    told = ""
    try:
        load_config(path, environ={})
    except ConfigError as error:
        told = str(error)

    assert all(line.startswith(str(path)) for line in told.splitlines())
