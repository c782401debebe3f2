"""Where files are put: whole or not at all."""

import os
import re
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
from pyarrow import fs

from clew_collector.errors import ConfigError
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.file.config import FileSinkConfig
from clew_collector.sinks.http import MAX_REASON_LENGTH

# As curl puts it: 60 is a certificate that was not accepted.
_CERTIFICATE: Final = re.compile("curlCode: 60|certificate", re.IGNORECASE)
_CREDENTIALS: Final = re.compile("ACCESS_DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|HTTP status 40[13]")


class Folder(Protocol):
    """A place for files. Paths are relative, with slashes. Methods raise `SinkUnavailable`."""

    def names(self, path: str) -> list[str]:
        """What is in a folder below this one; nothing if there is none."""
        ...

    def put(self, path: str, content: pa.Buffer) -> None:
        """Make a file, durable when this returns. Whatever dies meanwhile, it is there whole or not at all."""
        ...


def open_folder(config: FileSinkConfig) -> Folder:
    """The folder of a configuration. Raises `ConfigError` if it cannot be used at all."""
    return S3Folder(config) if config.url.startswith("s3://") else LocalFolder(Path(config.url))


class LocalFolder:
    """A folder on a disk of this machine, made if it is missing."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        try:
            self._root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{root}: cannot be used as an archive: {error.strerror}") from error

    def names(self, path: str) -> list[str]:
        """See `Folder.names`."""
        folder = self._root / path
        try:
            return os.listdir(folder) if folder.exists() else []
        except OSError as error:
            raise SinkUnavailable(f"{folder}: {error.strerror}") from error

    def put(self, path: str, content: pa.Buffer) -> None:
        """See `Folder.put`."""
        file = self._root / path
        # One name for all that are under way: what a crash leaves is overwritten by the next one.
        partial = self._root / f".{path.partition('/')[0]}.partial"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "wb", opener=_for_the_owner) as output:
                output.write(memoryview(content))
                output.flush()
                os.fsync(output.fileno())
            partial.rename(file)
            for folder in (file.parent, *file.relative_to(self._root).parents):
                _sync(self._root / folder)
        except OSError as error:
            raise SinkUnavailable(f"{file}: {error.strerror}") from error


class S3Folder:
    """A folder in a bucket of S3 or of a store like it."""

    def __init__(self, config: FileSinkConfig) -> None:
        self._root = config.url.removeprefix("s3://").rstrip("/")
        options: dict[str, Any] = {}
        if (s3 := config.s3) is not None:
            scheme, _, host = (s3.endpoint or "").partition("://")
            options = {
                "endpoint_override": host or None,
                "scheme": scheme or None,
                "region": s3.region,
                "access_key": s3.access_key,
                "tls_ca_file_path": None if s3.ca is None else str(s3.ca),
                "secret_key": None if s3.secret_key is None else s3.secret_key.get_secret_value(),
            }
        given = {name: value for name, value in options.items() if value is not None}
        try:
            self._files = fs.S3FileSystem(connect_timeout=10, request_timeout=60, **given)
        except TypeError as error:
            raise ConfigError("s3.ca needs a newer pyarrow: pip install --upgrade pyarrow") from error

    def names(self, path: str) -> list[str]:
        """See `Folder.names`."""
        selector = fs.FileSelector(f"{self._root}/{path}", allow_not_found=True)
        try:
            return [info.base_name for info in self._files.get_file_info(selector)]
        except (OSError, pa.ArrowException) as error:
            raise SinkUnavailable(f"s3://{self._root}: {_line(error)}") from error

    def put(self, path: str, content: pa.Buffer) -> None:
        """See `Folder.put`: an object appears when its upload is completed."""
        try:
            # Left to itself it compresses what is called .zst, which this is already.
            with self._files.open_output_stream(f"{self._root}/{path}", compression=None) as output:
                output.write(content)
        except (OSError, pa.ArrowException) as error:
            raise SinkUnavailable(f"s3://{self._root}/{path}: {_line(error)}") from error


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    """Have a folder's list of names on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(error: Exception) -> str:
    said = " ".join(str(error).split())
    line = said[:MAX_REASON_LENGTH]
    if _CREDENTIALS.search(said):
        return f"{line}; check s3.access_key and s3.secret_key"
    return f"{line}; check s3.ca and s3.endpoint" if _CERTIFICATE.search(said) else line
