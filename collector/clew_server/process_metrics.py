"""CPU, memory and open files of the collector's processes, by Prometheus's usual names; Linux only."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client import ProcessCollector
from prometheus_client.metrics_core import Metric as Family

_PROC: Final = Path("/proc")
_MODULES: Final = {b"clew_server.intake": "intake", b"clew_server.store": "store"}


def process_families(*, proc: Path = _PROC) -> Iterator[Family]:
    """What Prometheus's own collector says of each process, with the label `process`; nothing without a `/proc`."""
    merged: dict[str, Family] = {}
    for name, pid in processes(proc).items():
        for family in ProcessCollector(pid=partial(int, pid), proc=str(proc), registry=None).collect():
            into = merged.setdefault(family.name, Family(family.name, family.documentation, family.type))
            for sample in family.samples:
                into.add_sample(sample.name, {**sample.labels, "process": name}, sample.value)
    yield from merged.values()


def processes(proc: Path = _PROC) -> Mapping[str, int]:
    """Process IDs by name: the children of the supervisor that run a module of ours."""
    found: dict[str, int] = {}
    try:
        parent = (proc / "self" / "stat").read_text().rpartition(")")[2].split()[1]
        children = (proc / parent / "task" / parent / "children").read_text().split()
        for pid in children:
            arguments = (proc / pid / "cmdline").read_bytes().split(b"\0")
            found.update({name: int(pid) for module, name in _MODULES.items() if module in arguments})
    except OSError:  # no /proc, or a process that is ending
        return found
    return found
