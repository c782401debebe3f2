"""Senders with and without a key, against a collector that asks for one."""

import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clew_collector.errors import RateLimited, Unauthorized
from clew_collector.keys import Key, KeyConfig, Keys, digest_of_key, new_key
from tests.collector.otlp_builders import a_log, logs
from tests.server.running_clew import RunningClew, clew, clew_up

PROTOBUF = {"content-type": "application/x-protobuf"}
RATE = 20


@pytest.fixture(scope="module")
def key() -> str:
    return new_key()


@pytest.fixture(scope="module")
def limited_key() -> str:
    return new_key()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, key: str, limited_key: str) -> Iterator[RunningClew]:
    folder = tmp_path_factory.mktemp("keys")
    config = folder / "clew.yaml"
    config.write_text(
        f"keys:\n  - name: shop\n    sha256: {digest_of_key(key).hex()}\n"
        f"  - name: bots\n    sha256: {digest_of_key(limited_key).hex()}\n    max_records_per_s: {RATE}\n"
    )
    with clew_up(folder / "data", "--config", str(config)) as running:
        yield running


def send(running: RunningClew, *texts: str, **headers: str) -> httpx.Response:
    body = logs(*map(a_log, texts)).SerializeToString()
    return httpx.post(f"{running.otlp_url}/v1/logs", content=body, headers={**PROTOBUF, **headers})


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer clew_wrong"}, {"authorization": "Basic ???"}])
def test_without_a_key_that_is_known_nothing_is_taken(running: RunningClew, headers: dict[str, str]) -> None:
    answer = send(running, "a", **headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["code"] == 16


@pytest.mark.parametrize(
    "shown",
    [
        lambda key: {"authorization": f"Bearer {key}"},
        lambda key: {"authorization": f"ApiKey {key}"},
        lambda key: {"authorization": "ApiKey " + base64.b64encode(f"shop:{key}".encode()).decode()},
        lambda key: {"authorization": "Basic " + base64.b64encode(f"shop:{key}".encode()).decode()},
        lambda key: {"x-api-key": key},
    ],
    ids=["bearer", "api-key", "elasticsearch", "basic", "x-api-key"],
)
def test_a_key_is_taken_however_senders_show_it(running: RunningClew, key: str, shown: object) -> None:
    headers = shown(key)  # type: ignore[operator]

    assert send(running, "a", **headers).status_code == 200
    assert httpx.post(f"{running.zipkin_url}/api/v2/spans", json=[], headers=headers).status_code == 202


def test_health_is_for_all(running: RunningClew) -> None:
    assert httpx.get(f"{running.otlp_url}/healthz").status_code == 200


def test_more_than_a_key_may_send_is_refused_for_a_while(running: RunningClew, limited_key: str) -> None:
    shown = {"authorization": f"Bearer {limited_key}"}
    deadline_s = time.monotonic() + 20
    answers = [send(running, *[f"{number}-{each}" for each in range(RATE)], **shown) for number in range(6)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
    while send(running, "later", **shown).status_code == 429:
        assert time.monotonic() < deadline_s, "refused for ever"


def test_import_goes_on_with_a_key_of_its_own(running: RunningClew, tmp_path: Path) -> None:
    file = tmp_path / "logs.bin"
    file.write_bytes(logs(a_log("imported")).SerializeToString())

    result = clew("import", str(file), "--data", str(running.data))

    assert result.returncode == 0, result.stderr


def test_a_new_key_is_printed_with_the_lines_that_let_it_in() -> None:
    said = clew("keys", "new", "shop", "--max-records-per-s", "5").stdout

    key, sha256 = re.findall(r"key:  (\S+)|sha256: (\S+)", said)
    assert digest_of_key(key[0]).hex() == sha256[1]
    assert "max_records_per_s: 5" in said


def test_a_name_that_cannot_be_one_is_refused() -> None:
    result = clew("keys", "new", "two words")

    assert (result.returncode, result.stderr.startswith("clew: NAME must be")) == (1, True)


def test_a_key_has_its_rate_back_after_a_pause() -> None:
    now_s = [0.0]
    key = Key(KeyConfig(name="a", sha256="0" * 64, max_records_per_s=10), monotonic_s=lambda: now_s[0])
    key.spend(25)  # more than is left goes as a whole

    with pytest.raises(RateLimited, match="the key a may send 10 records a second"):
        key.spend(1)
    now_s[0] += 0.6
    key.spend(1)


def test_no_key_is_found_by_its_hash() -> None:
    config = KeyConfig(name="a", sha256=digest_of_key("right").hex())

    with pytest.raises(Unauthorized):
        Keys([config]).find(api_key=config.sha256)
    assert Keys([config]).find(api_key="right").name == "a"
