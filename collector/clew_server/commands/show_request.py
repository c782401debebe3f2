"""`clew request ID`: one request as a tree in the terminal."""

from typing import Annotated

import orjson
import typer
from rich.console import Console

from clew_collector.json_form import request_to_json
from clew_server.commands.asking import store_to_ask
from clew_server.commands.options import AskedData, asked_data
from clew_server.request_tree import request_tree


def show_request(
    id: Annotated[str, typer.Argument(metavar="ID", help="A correlation ID (X-Request-ID) or a trace ID.")],
    data: AskedData = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything about it as JSON instead.")] = False,
) -> None:
    """Print one request: every service's spans as a tree, with the log lines under the span that wrote them."""
    with store_to_ask(asked_data(data)) as store:
        request = store.request(id.strip())
    if request is None:
        typer.echo(f"clew: no request has the ID {id!r}; records appear about a second after they are sent", err=True)
        raise typer.Exit(1)
    if json:
        typer.echo(orjson.dumps(request_to_json(request), option=orjson.OPT_INDENT_2))
        return
    Console(highlight=False).print(request_tree(request), soft_wrap=True)
