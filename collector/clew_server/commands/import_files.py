"""`clew import`: load files of logs and traces."""

import os
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from typer.models import OptionInfo

from clew_collector.errors import BadPayload, ConfigError
from clew_collector.sinks.http import ClientTls
from clew_collector.wire.files import FilePayload, Refusal, read_payloads
from clew_server.commands.options import AskedData, asked_data
from clew_server.importing import DirectTarget, ImportTarget, RunningTarget
from clew_server.running import find_running

_REASONS_SHOWN: Final = 10


def _pem(flag: str, variable: str, what: str) -> OptionInfo:
    option: OptionInfo = typer.Option(
        flag, envvar=variable, metavar="FILE", help=what, show_default=False, exists=True, dir_okay=False
    )
    return option


Certificate = Annotated[
    Path | None,
    _pem(
        "--certificate",
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "Our certificate in PEM, if the running clew asks for one (client_ca).",
    ),
]
Key = Annotated[Path | None, _pem("--key", "OTEL_EXPORTER_OTLP_CLIENT_KEY", "The private key of that certificate.")]


class _Summary:
    """What was taken and refused so far."""

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.formats: Counter[str] = Counter()
        self.duplicates = 0
        self.refusals: list[str] = []

    def print_to(self, console: Console) -> None:
        formats = ", ".join(self.formats)
        read = f" ({formats})" if formats else ""
        console.print(f"took {self.taken['logs']:,} log records and {self.taken['traces']:,} spans{read}")
        if self.duplicates:
            console.print(f"left out {self.duplicates:,} records that were imported within the last 15 minutes")
        if self.refusals:
            console.print(f"[red]refused {len(self.refusals):,}[/red]:")
            for reason in self.refusals[:_REASONS_SHOWN]:
                console.print(f"  {reason}", markup=False, soft_wrap=True)
            if len(self.refusals) > _REASONS_SHOWN:
                console.print(f"  and {len(self.refusals) - _REASONS_SHOWN:,} more")


def import_files(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="What to load, plain or as .gz.")
    ],
    data: AskedData = None,
    certificate: Certificate = None,
    key: Key = None,
) -> None:
    """Load files: OTLP, Zipkin's and Jaeger's JSON, and JSON log lines; each also as .gz.

    What a file holds is told by what is in it. OTLP may be JSON or protobuf, one request or many.

    They go to the running `clew up` on this data directory, or straight into it if none runs. Exits with status 1 if
    anything was refused; the rest is kept.
    """
    if (certificate is None) != (key is None):
        raise ConfigError("--certificate and --key come together")
    console = Console(stderr=True, highlight=False)
    summary = _Summary()
    directory = asked_data(data)
    running = find_running(directory)
    target: ImportTarget = (
        DirectTarget(directory)
        if running is None
        else RunningTarget(running, tls=ClientTls(certificate=certificate, key=key))
    )
    try:
        with _progress(console) as progress:
            for path in files:
                _import_file(path, target, summary, progress)
        with console.status("storing"):
            target.finish()
    finally:
        target.close()
    summary.print_to(console)
    where = "clew up, then look at /requests" if running is None else f"{running.dashboard_url}/requests"
    console.print(f"see it: {where}")
    raise typer.Exit(1 if summary.refusals else 0)


def _import_file(path: Path, target: ImportTarget, summary: _Summary, progress: Progress) -> None:
    with path.open("rb") as file:
        task: TaskID = progress.add_task(path.name, total=os.fstat(file.fileno()).st_size)
        for item in read_payloads(file, now_ns=os.fstat(file.fileno()).st_mtime_ns):
            _take(path, item, target, summary)
            progress.update(task, completed=file.tell())


def _take(path: Path, item: FilePayload | Refusal, target: ImportTarget, summary: _Summary) -> None:
    if isinstance(item, Refusal):
        summary.refusals.append(f"{path}: {item.place}: {item.reason}")
        return
    try:
        is_new = target.take(item)
    except BadPayload as error:
        summary.refusals.append(f"{path}: {item.place}: {error}")
        return
    if is_new:
        summary.taken[item.signal] += item.records
        summary.formats[item.format] += item.records
    else:
        summary.duplicates += item.records


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console
    )
