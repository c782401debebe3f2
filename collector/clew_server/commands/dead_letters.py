"""`clew deadletter`: look at payloads that could not be stored, and try them again."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated

import orjson
import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from clew_collector.config import CollectorConfig
from clew_collector.errors import BadPayload, ClewError
from clew_collector.spool import DeadLetter, Spool
from clew_collector.wire.otlp.payload import parse
from clew_server.commands.options import AskedData, asked_data

_HEAD_BYTES = 256
_ROW_WIDTH = 10_000
"""More than any reason has: a row is one line, as long as it is."""

app = typer.Typer(
    help="Look at payloads that the store or a sink could not take, and try them again.", no_args_is_help=True
)
Number = Annotated[int, typer.Argument(metavar="NUMBER", help="As `clew deadletter list` shows it.", min=1)]
Numbers = Annotated[
    list[int] | None, typer.Argument(metavar="NUMBER", help="As `clew deadletter list` shows them.", min=1)
]
All = Annotated[bool, typer.Option("--all", help="All there are.")]


@app.command("list")
def list_(data: AskedData = None) -> None:
    """List them, the oldest first, with the reason of each."""
    with _spool(data) as spool:
        letters = spool.dead_letters()
    if not letters:
        typer.echo("there are no dead letters")
        return
    table = Table("number", "received", "signal", "records", "bytes", "through", "refused by", "why", box=None)
    for letter in letters:
        received = datetime.fromtimestamp(letter.received_ns / 1e9, UTC).isoformat(" ", "seconds")
        numbers = f"{letter.records:,}", f"{letter.size_bytes:,}"
        table.add_row(str(letter.id), received, letter.signal, *numbers, letter.source, letter.reader, letter.reason)
    Console(highlight=False, markup=False, width=_ROW_WIDTH).print(table)


@app.command()
def show(
    number: Number,
    data: AskedData = None,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show values, too; they are as they came, before any redaction.")
    ] = False,
) -> None:
    """Print one as OTLP/JSON if it can be read, with its values masked, else how it begins."""
    with _spool(data) as spool:
        letter = _found(spool, number)
        body = spool.dead_letter_body(number) or b""
    try:
        document = MessageToDict(parse(letter.signal, body))
    except BadPayload as error:
        typer.echo(f"{error}; {len(body):,} bytes")
        typer.echo(repr(body[:_HEAD_BYTES]) if reveal else "--reveal shows how it begins")
        return
    shown = document if reveal else _masked(document)
    typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())


@app.command()
def replay(numbers: Numbers = None, everything: All = False, data: AskedData = None) -> None:
    """Put them back into the queue: to be stored now by the running `clew up`, or when it starts."""
    with _spool(data) as spool:
        for number in _wanted(spool, numbers, everything):
            _found(spool, number)
            spool.replay(number)
            typer.echo(f"{number} waits to be stored again")


@app.command()
def delete(numbers: Numbers = None, everything: All = False, data: AskedData = None) -> None:
    """Forget them for good."""
    with _spool(data) as spool:
        for number in _wanted(spool, numbers, everything):
            _found(spool, number)
            spool.delete_dead_letter(number)
            typer.echo(f"{number} is gone")


@contextmanager
def _spool(data: AskedData) -> Iterator[Spool]:
    config = CollectorConfig(data=asked_data(data))
    if not config.spool_path.exists():
        raise ClewError(f"there is no data of clew in {config.data}; --data names another directory")
    spool = Spool(config.spool_path)
    try:
        yield spool
    finally:
        spool.close()


def _wanted(spool: Spool, numbers: list[int] | None, everything: bool) -> list[int]:
    if bool(numbers) == everything:
        raise ClewError("name their numbers, or say --all")
    return [letter.id for letter in spool.dead_letters()] if everything else numbers or []


def _found(spool: Spool, number: int) -> DeadLetter:
    for letter in spool.dead_letters():
        if letter.id == number:
            return letter
    raise ClewError(f"there is no dead letter {number}; clew deadletter list shows those there are")


def _masked(value: object) -> object:
    """The structure and the names; of values the kind and size alone."""
    if isinstance(value, dict):
        return {key: inner if key in ("key", "name") else _masked(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    return f"<{type(value).__name__}, {len(str(value))} characters>"
