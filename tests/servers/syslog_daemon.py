"""A syslog daemon in the foreground that sends on what it is sent, for tests of who takes it."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.servers.processes import Server, free_port, running, temporary_folder


@dataclass(frozen=True)
class SyslogDaemon:
    """How a daemon is started. `argv` and `takes` have `{folder}`, with its `conf`, and `{port}` to be filled in."""

    name: str
    argv: Sequence[str]
    takes: str
    env: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def sending_on(self, rules: str) -> Iterator[Server]:
        """The daemon, from when it takes datagrams at `url`, `host:port`, and does with them as `rules` say.

        Raises `ServerMissingError` with its last lines if it does not start.
        """
        port = free_port()
        with temporary_folder(self.name) as folder:
            (folder / "conf").write_text(self.takes.replace("{port}", str(port)) + rules)
            argv = [argument.replace("{folder}", str(folder)) for argument in self.argv]
            with running(argv, name=self.name, is_ready=lambda: _is_taken(port), folder=folder, env=self.env) as pid:
                yield Server(url=f"127.0.0.1:{port}", pid=pid)


def _is_taken(port: int) -> bool:
    """Whether somebody has bound a UDP port: nobody else can then."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
