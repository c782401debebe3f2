"""`python -m tests.fuzz TARGET SECONDS FOLDER [INPUT...]`: fuzz a decoder with atheris; what crashes it is kept.

Inputs that reach new code are kept in the folder, and those that crash it in files that begin with `crash-`. With
inputs given, tries just these.
"""

import sys
from pathlib import Path

import atheris  # type: ignore[import-untyped,unused-ignore]

with atheris.instrument_imports(include=["clew_collector"], enable_loader_override=False):
    from tests.fuzz.target import Target
    from tests.fuzz.targets import TARGETS

MAX_MEMORY_MB = 1024


def main(name: str, seconds: int, folder: Path, inputs: list[str]) -> None:
    target = TARGETS[name]
    seeds = folder / "seeds"
    seeds.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(seed)
    for kept in (Path(__file__).parent / "corpus" / name).glob("*"):
        (seeds / kept.name).write_bytes(kept.read_bytes())
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words or ("\0",)))
    found = folder / "found"
    found.mkdir(exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={target.max_bytes}",
        f"-rss_limit_mb={MAX_MEMORY_MB}",
        f"-dict={words}",
        f"-artifact_prefix={folder}/",
        "-timeout=30",
        "-detect_leaks=0",
        "-print_final_stats=1",
    ]
    mutator = {} if target.mutate is None else {"custom_mutator": _mutator(target)}
    places = inputs or [str(found), str(seeds)]
    atheris.Setup([sys.argv[0], *options, *places], target.try_input, **mutator)
    atheris.Fuzz()


def _mutator(target: Target):  # type: ignore[no-untyped-def]
    def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
        if target.mutate is not None and seed % 4:
            try:
                return target.mutate(data, max_bytes, seed)
            except (ValueError, RecursionError):  # it is not what its mutation knows
                pass
        return bytes(atheris.Mutate(data, max_bytes))

    return mutate


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
