"""The table of all metrics, made of the code. `python -m tests.docs.metrics_table` writes it into the page."""

from clew_server.metrics import METRICS
from tests.docs.pages import DOCS

PAGE = DOCS / "how-to" / "watching-clew.md"
_BEGIN = "<!-- metrics -->\n"
_END = "<!-- end of metrics -->"


def table() -> str:
    """A row a metric, in the code's order."""
    rows = ["| metric | type | labels | what |", "|---|---|---|---|"]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.says.removesuffix('.')} |")
    return "\n".join(rows) + "\n"


def written() -> str:
    """The table as the page has it."""
    return PAGE.read_text().partition(_BEGIN)[2].partition(_END)[0]


def write() -> None:
    """Put the table into the page."""
    before, begin, rest = PAGE.read_text().partition(_BEGIN)
    _, end, after = rest.partition(_END)
    PAGE.write_text(before + begin + table() + end + after)


if __name__ == "__main__":
    write()
