"""`clew keys`: keys for senders."""

from typing import Annotated

import typer
from pydantic import ValidationError

from clew_collector.errors import ClewError
from clew_collector.keys import KeyConfig, digest_of_key, new_key

app = typer.Typer(help="Make keys that senders show.", no_args_is_help=True)


@app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who gets it: a team or a service.")],
    max_records_per_s: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="Refuse more than so many records a second.")
    ] = None,
) -> None:
    """Make a key, and print it once, with the lines for clew.yaml. The key itself is kept nowhere."""
    key = new_key()
    try:
        config = KeyConfig(name=name, sha256=digest_of_key(key).hex(), max_records_per_s=max_records_per_s)
    except ValidationError as error:
        raise ClewError(f"NAME must be letters, digits, ., _ and -, 64 at most, got {name!r:.80}") from error
    limit = "" if max_records_per_s is None else f"    max_records_per_s: {max_records_per_s:g}\n"
    typer.echo(f"key:  {key}\n")
    typer.echo(f"In clew.yaml:\nkeys:\n  - name: {config.name}\n    sha256: {config.sha256}\n{limit}")
    typer.echo(
        "A sender shows it as the header Authorization: Bearer KEY. For OpenTelemetry's SDKs and for clew:\n"
        f"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{key}"
    )
