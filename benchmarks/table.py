"""Tables of results, in Markdown, so that they can be put into the docs as they are."""

import platform
import statistics
from collections.abc import Iterable, Sequence


def print_table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [list(head), ["---"] * len(head), *map(list, rows)]
    print(f"\n### {title}\n")
    for line in lines:
        print(f"| {' | '.join(line)} |")
    print(f"\nPython {platform.python_version()}, {platform.machine()}, {platform.system()}.", flush=True)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median with the smallest and the largest."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"
