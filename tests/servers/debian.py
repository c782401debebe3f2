"""Debian's packages, unpacked into the user's cache: nothing is installed, so those that exclude each other fit."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.artifacts import CACHE
from tests.servers.missing import ServerMissingError
from tests.servers.processes import temporary_folder

_TIMEOUT_S = 600


def unpacked(*packages: str) -> Path:
    """The folder with these packages and what they need that is not installed; fetched if it is not there.

    Raises `ServerMissingError`.
    """
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise ServerMissingError(f"{packages[0]} is fetched with apt-get, which is not here")
    kept = CACHE / "debian" / _release() / "+".join(packages)
    if kept.exists():
        return kept
    with temporary_folder("debian-fetch") as folder:
        _download(packages, folder)
        partial = folder / "root"
        for package in folder.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(partial))
        _keep(partial, kept)
    return kept


def libraries(root: Path) -> str:
    """The folders with libraries below an unpacked one, as LD_LIBRARY_PATH wants them."""
    return ":".join(sorted({str(library.parent) for library in root.rglob("*.so*")}))


def _release() -> str:
    """What the packages of this machine are of: `debian-12-x86_64`; files of one do not fit another."""
    told = platform.freedesktop_os_release()
    return f"{told['ID']}-{told.get('VERSION_ID', 'rolling')}-{platform.machine()}"


def _download(packages: Sequence[str], folder: Path) -> None:
    (folder / "partial").mkdir()
    # The lock is that of the system's own archives, which are left alone.
    options = (
        "-qq",
        "-y",
        "--reinstall",
        "--no-install-recommends",
        "-o",
        "Debug::NoLocking=1",
        "-o",
        f"Dir::Cache::archives={folder}",
    )
    download = ("apt-get", *options, "--download-only", "install", *packages)
    try:
        _run(*download)
    except ServerMissingError:
        if os.geteuid() != 0:
            raise
        _run("apt-get", "-qq", "update")  # the lists are empty in a new container, or name what is gone
        _run(*download)


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ServerMissingError(f"{' '.join(command)} took more than {_TIMEOUT_S} s") from error
    if done.returncode != 0:
        raise ServerMissingError(f"{' '.join(command)} failed: {done.stderr.strip()[-300:]}")


def _keep(unpacked_now: Path, kept: Path) -> None:
    """Put the folder where it stays; at once, so that half of it never looks like the whole."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(f"{kept.name}.{os.getpid()}")
    shutil.copytree(unpacked_now, partial, symlinks=True)
    try:
        partial.rename(kept)
    except OSError:  # another test run was faster
        shutil.rmtree(partial)
