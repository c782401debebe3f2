"""What an httpx call costs more, all in with the export of its span.

The client and the transport are real, the network is not there.
"""

from benchmarks.instrumentation.rounds import ROUNDS, Rounds
from benchmarks.instrumentation.sink import running_sink
from benchmarks.table import print_table

PEERS = ("opentelemetry", "ddtrace", "logfire")


def main() -> None:
    with running_sink() as url:
        rounds = Rounds("call", ("bare", "clew", *PEERS), kind="-", url=url)
    print_table(
        f"Cost added to an httpx call, us (median of {ROUNDS} rounds, smallest to largest)",
        ["bare", "clew adds", *(f"{peer} adds" for peer in PEERS), "times clew's"],
        [
            [
                rounds.took("bare"),
                rounds.added("clew"),
                *(rounds.added(peer) for peer in PEERS),
                ", ".join(rounds.ratio(peer) for peer in PEERS),
            ]
        ],
    )
