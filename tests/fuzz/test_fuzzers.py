"""No bytes crash a decoder, take it long or much memory: found by mutation, guided by what code an input reaches.

Each target runs for a few seconds here, two at a time; `CLEW_FUZZ_S=600 pytest tests/fuzz` looks for longer. What it
finds goes into `corpus/TARGET/`, from where it is tried ever after.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzz.target import MAX_CPU_S, Target, TooSlow
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
SECONDS = int(os.environ.get("CLEW_FUZZ_S", "2"))
START_S = 60
each_target = pytest.mark.parametrize("name", TARGETS)


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, atheris: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Future["subprocess.CompletedProcess[str]"]]]:
    """The fuzzers of the targets that are asked for, two at a time."""
    folder = tmp_path_factory.mktemp("fuzz")
    names = [name for name in TARGETS if any(item.name.endswith(f"[{name}]") for item in request.session.items)]
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(fuzzed, atheris, name, folder / name) for name in names}


def fuzzed(python: str, name: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [python, "-m", "tests.fuzz", name, str(SECONDS), str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=SECONDS + START_S,
    )


@each_target
def test_a_fuzzer_finds_nothing(runs: Mapping[str, Future["subprocess.CompletedProcess[str]"]], name: str) -> None:
    run = runs[name].result()

    assert run.returncode == 0, told(run.stdout)
    assert "Done " in run.stdout, told(run.stdout)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_was_found_once_does_no_harm_again(path: Path) -> None:
    TARGETS[path.parent.name].try_input(path.read_bytes())


@each_target
def test_a_target_takes_all_its_seeds(name: str) -> None:
    seeds = list(TARGETS[name].seeds())

    for seed in seeds:
        TARGETS[name].try_input(seed)

    assert seeds


def test_a_decoder_that_takes_long_fails() -> None:
    def dawdle(_: bytes) -> None:
        until_s = time.thread_time() + MAX_CPU_S + 0.1
        while time.thread_time() < until_s:
            pass

    with pytest.raises(TooSlow):
        Target(check=dawdle, seeds=list).try_input(b"x")


def told(output: str) -> str:
    """What a fuzzer said, without its progress."""
    return "\n".join(line for line in output.splitlines() if not line.startswith("#"))[-6000:]
