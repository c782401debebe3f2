"""What a log line with IDs costs, all in with the export of its record: the line itself, rendered as JSON, included."""

from benchmarks.instrumentation.rounds import ROUNDS, Rounds
from benchmarks.instrumentation.sink import running_sink
from benchmarks.table import print_table


def main() -> None:
    with running_sink() as url:
        rounds = Rounds("line", ("bare", "bare_stdlib", "clew", "opentelemetry", "logfire"), kind="-", url=url)
    named = {
        "structlog, JSON, no IDs": "bare",
        "logging, JSON, no IDs": "bare_stdlib",
        "clew: structlog, JSON, IDs, OTLP": "clew",
        "OpenTelemetry: logging, JSON, IDs, OTLP": "opentelemetry",
        "logfire.info": "logfire",
    }
    print_table(
        f"A log line, us (median of {ROUNDS} rounds, smallest to largest)",
        ["line", "takes", "times clew's"],
        [[name, rounds.took(case), rounds.times(case)] for name, case in named.items()],
    )
