"""A page of the documentation as a reader follows it: its files written, its commands run."""

import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.guard import end_group

DOCS = Path(__file__).parents[2] / "docs"
DEADLINE_S = 30.0
_block = re.compile(r"^```([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_without_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass(frozen=True)
class Page:
    """What a page tells its reader to write and to type."""

    files: Mapping[str, str]
    """Each block of a program whose first line is a comment with the file's name: `# app.py`, `// sender.cjs`."""

    commands: tuple[str, ...]
    """Each line of its `sh` blocks, without comments."""

    def write(self, folder: Path) -> None:
        """Write the files, as the reader would."""
        for name, code in self.files.items():
            (folder / name).write_text(code)

    def command(self, start: str) -> str:
        """The one command that begins with these words."""
        found = [command for command in self.commands if command.startswith(start)]
        assert len(found) == 1, f"{start!r} begins {len(found)} commands of the page: {self.commands}"
        return found[0]


def read_page(name: str) -> Page:
    """A page, by its path under `docs`."""
    text = (DOCS / name).read_text()
    files: dict[str, str] = {}
    commands: list[str] = []
    for language, body in _block.findall(text):
        first = body.partition("\n")[0]
        if named := re.fullmatch(r"(?:#|//) ([\w.]+\.(?:py|cjs))", first):
            files[named.group(1)] = body
        elif language == "sh":
            lines = [line.partition("  #")[0].strip() for line in body.splitlines()]
            commands += [line for line in lines if line and not line.startswith("#")]
    return Page(files, tuple(commands))


def blocks(name: str, language: str) -> list[str]:
    """The blocks of a page in a language, in order."""
    return [body for found, body in _block.findall((DOCS / name).read_text()) if found == language]


@contextmanager
def running(command: str, *, folder: Path, env: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A command of a page, with this Python's scripts before all others; its group is ended afterwards."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    log = folder / "output.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        except BaseException:
            print(log.read_text(errors="replace")[-5_000:])
            raise
        finally:
            end_group(process.pid)
            process.wait()


def get(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of a GET, tried until the server listens."""
    end_s = time.monotonic() + DEADLINE_S
    while True:
        try:
            with _without_proxy(urllib.request.Request(url, headers=dict(headers or {})), timeout=10) as answer:
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, {name.lower(): value for name, value in error.headers.items()}, error.read()
        except OSError:
            assert time.monotonic() < end_s, f"{url} does not answer"
            time.sleep(0.05)
