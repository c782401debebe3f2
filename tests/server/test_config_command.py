"""`clew config`, `clew up --config` and SIGHUP."""

import contextlib
import signal
import ssl
from pathlib import Path

import httpx
import pytest
import yaml

from clew_collector.config import CollectorConfig
from clew_collector.config.reference import reference
from clew_collector.config.yaml_file import load_config
from clew_server.handover import ConfigHandover, read_config
from tests.collector.certificates import Authority
from tests.server.running_clew import RunningClew, clew, clew_up

ROOT = Path(__file__).parents[2]


def written(folder: Path, text: str) -> Path:
    path = folder / "clew.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_called_good(tmp_path: Path) -> None:
    result = clew("config", "check", str(written(tmp_path, "dashboard: {port: 9000}\n")))

    assert (result.returncode, result.stdout.strip()) == (0, f"{tmp_path}/clew.yaml: good")


def test_a_mistake_is_told_with_its_line_and_status_2(tmp_path: Path) -> None:
    result = clew("config", "check", str(written(tmp_path, "\ndashboard: {port: -1}\n")))

    assert result.returncode == 2
    assert result.stderr.startswith(f"clew: {tmp_path}/clew.yaml:2: dashboard.port: ")


def test_a_certificate_that_is_not_there_is_a_mistake_before_anything_starts(tmp_path: Path) -> None:
    text = "receivers:\n  otlp_http:\n    tls: {certificate: absent.pem, key: absent.key}\n"

    result = clew("config", "check", str(written(tmp_path, text)))

    assert result.returncode == 2
    assert "absent.pem" in result.stderr


def test_what_is_shown_is_a_file_that_means_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, "data: /srv/clew\nreceivers:\n  syslog: {ids_in_text: true}\n")

    shown = clew("config", "show", str(path)).stdout

    settings = yaml.safe_load(shown)
    assert settings["receivers"]["syslog"]["ids_in_text"] is True
    assert settings["receivers"]["zipkin"]["host"] == "127.0.0.1"
    assert clew("config", "show", str(written(tmp_path, shown))).stdout == shown


def test_a_secret_reaches_the_processes_and_nobody_else(tmp_path: Path) -> None:
    path = written(tmp_path, "processors:\n  - {type: redact, keys: [a], action: hash, salt: '${SALT}'}\n")
    config = load_config(path, environ={"SALT": "hush-hush"})
    handover = ConfigHandover(config)

    shown = config.model_dump_json()

    assert "hush" not in shown
    assert read_config(handover.fd) == config
    handover.hand(CollectorConfig(data=tmp_path))
    assert read_config(handover.fd).processors == ()
    handover.close()


def test_the_reference_in_the_docs_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "reference" / "clew-yaml.md").read_text()

    assert page.endswith(reference()), "write it anew: clew config docs"
    assert clew("config", "docs").stdout == reference()


def health(running: RunningClew) -> int:
    return httpx.get(f"{running.otlp_url}/healthz").status_code


def test_a_listener_that_is_switched_off_is_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, "receivers:\n  zipkin: {enabled: false}\n")

    with clew_up(tmp_path / "data", "--config", str(path)) as running:
        assert "zipkin" not in running.urls
        assert health(running) == 200


def body_of(size_bytes: int) -> bytes:
    return b" " * size_bytes


def test_on_hangup_what_is_in_the_file_now_holds_and_nobody_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "receivers:\n  otlp_http: {max_body_bytes: 2048}\n")
    headers = {"content-type": "application/json"}
    with clew_up(tmp_path / "data", "--config", str(path)) as running:
        url = f"{running.otlp_url}/v1/logs"
        assert httpx.post(url, content=body_of(4096), headers=headers).status_code == 413
        path.write_text("receivers:\n  otlp_http: {max_body_bytes: 8192}\n")

        running.process.send_signal(signal.SIGHUP)

        statuses = []

        def ask() -> int | None:
            with contextlib.suppress(httpx.ReadError):  # too large, said and closed before the body was sent
                statuses.append(httpx.post(url, content=body_of(4096), headers=headers, timeout=20).status_code)
            return statuses[-1] if statuses else None

        running.wait_for(ask, lambda status: status == 400)
        assert set(statuses) <= {413, 400}


def test_on_hangup_a_file_with_a_mistake_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "dashboard: {}\n")
    with clew_up(tmp_path / "data", "--config", str(path)) as running:
        path.write_text("receivers:\n  otlp_http: {prot: 1}\n")

        running.process.send_signal(signal.SIGHUP)

        assert running.process.stdout is not None
        assert "goes on with the settings before: " in (line := running.process.stdout.readline())
        assert "receivers.otlp_http.prot: there is no such setting; did you mean port?" in line
        assert health(running) == 200


def test_over_tls_the_same_is_taken_and_nothing_without_it(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    signed = authority.sign()
    tls = f"{{certificate: {signed.certificate}, key: {signed.key}}}"
    path = written(tmp_path, f"receivers:\n  otlp_http: {{tls: {tls}}}\n  zipkin: {{tls: {tls}}}\n")

    with clew_up(tmp_path / "data", "--config", str(path)) as running:
        verify = ssl.create_default_context(cafile=authority.certificate)
        spans = httpx.post(f"{running.zipkin_url}/api/v2/spans", json=[], verify=verify)
        logs = httpx.post(f"{running.otlp_url}/v1/logs", json={}, verify=verify)
        with pytest.raises(httpx.TransportError):
            httpx.post(running.otlp_url.replace("https", "http") + "/v1/logs", json={})

    assert (spans.status_code, logs.status_code) == (202, 200)
