"""What instrumentation adds to a request, all in with the export, and without any export.

Each cell is a process that drives an application through its ASGI interface; the export thread's work and the last
flush are part of the figure. Cost added is taken against the bare application of the same round.
"""

from benchmarks.instrumentation.rounds import ROUNDS, Rounds
from benchmarks.instrumentation.sink import running_sink
from benchmarks.table import print_table

KINDS = ("starlette", "fastapi")
EXPORTING = ("opentelemetry", "ddtrace", "logfire")


def main() -> None:
    with running_sink() as url:
        measured = {kind: Rounds("request", _cases(kind), kind=kind, url=url) for kind in KINDS}
    print_table(
        f"Cost added to a request, all in with export, us (median of {ROUNDS} rounds, smallest to largest)",
        ["application", "bare", "clew adds", *(f"{peer} adds" for peer in EXPORTING), "times clew's"],
        [
            [
                kind,
                rounds.took("bare"),
                rounds.added("clew"),
                *(rounds.added(peer) if peer in _cases(kind) else "-" for peer in EXPORTING),
                ", ".join(rounds.ratio(peer) for peer in EXPORTING if peer in _cases(kind)),
            ]
            for kind, rounds in measured.items()
        ],
    )
    print_table(
        "Cost added to a request without export, us",
        ["application", "clew adds (ID, trace, log record)", "asgi-correlation-id adds (ID)", "clew / it"],
        [
            [
                kind,
                rounds.added("clew_without_export"),
                rounds.added("correlation"),
                rounds.ratio("clew_without_export", "correlation"),
            ]
            for kind, rounds in measured.items()
        ],
    )


def _cases(kind: str) -> tuple[str, ...]:
    # logfire's part for Starlette has no release that fits its others.
    exporting = EXPORTING if kind == "fastapi" else tuple(peer for peer in EXPORTING if peer != "logfire")
    return ("bare", "clew", *exporting, "clew_without_export", "correlation")
