"""Places for files: a folder of this machine, and a folder in a bucket of moto."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
import orjson
import pyarrow as pa

from clew_collector.model import Signal
from tests.collector.certificates import Authority
from tests.collector.sinks.faults.http_line import HttpLine
from tests.collector.sinks.faults.http_places import a_trace
from tests.collector.sinks.faults.places import Line, Settings, Tls, Trouble
from tests.collector.sinks.faulty_proxy import Fault

_KEY: Final = "testing"
_UNKNOWN_KEY: Final = Fault(
    is_passed_on=False,
    status=403,
    headers={"content-type": "application/xml"},
    body=b"<Error><Code>InvalidAccessKeyId</Code><Message>The key is not known here</Message></Error>",
)


class FolderPlace:
    """A folder, which is away when something else is where it was."""

    signal: Signal = "logs"

    def __init__(self, folder: Path) -> None:
        self.trace = a_trace()
        self._root = folder / "archive"
        self._line = FolderLine(self._root)

    def settings(self) -> Settings:
        """See `Place.settings`."""
        return {"type": "file", "url": str(self._root)}

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """See `Place.line`."""
        return self._line, self.settings()

    def credentials(self, *, are_right: bool) -> Settings:
        """See `Place.credentials`."""
        raise NotImplementedError

    def trusting(self, ca: Path) -> Settings:
        """See `Place.trusting`."""
        raise NotImplementedError

    def found(self) -> Counter[str]:
        """See `Place.found`."""
        return _bodies(file.read_bytes() for file in self._line.folder.rglob("*.zst"))


class FolderLine:
    """See `Line`: the folder is there, or a file in its place."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._away = root.with_name("away")

    @property
    def folder(self) -> Path:
        """Where what was in the folder is now."""
        return self._away if self._away.exists() else self._root

    @contextmanager
    def listening(self) -> Iterator[Any]:
        """See `Line.listening`."""
        if self._away.exists():
            self._root.unlink()
            self._away.rename(self._root)
        yield
        if not self._away.exists():
            self._root.rename(self._away)
            self._root.write_text("not a folder")

    def begin(self, trouble: Trouble) -> None:
        """See `Line.begin`."""
        raise NotImplementedError

    def end(self) -> None:
        """See `Line.end`."""


class BucketPlace:
    """A bucket."""

    signal: Signal = "logs"

    def __init__(self, url: str, authority: Authority) -> None:
        self.trace = a_trace()
        self._url = url
        self._authority = authority
        self._name = f"archive-{random.getrandbits(48):x}"
        self.make()

    def make(self) -> None:
        """Make the bucket, in a server that does not have it."""
        self._client().create_bucket(Bucket=self._name)

    def settings(self) -> Settings:
        """See `Place.settings`."""
        return self._to(self._url)

    def line(self, tls: Tls | None = None, *, timeout_s: float = 20) -> tuple[Line, Settings]:
        """See `Place.line`."""
        line = HttpLine(
            self._url,
            carries_records=lambda request: request.line.startswith("PUT"),
            is_known=lambda request: f"Credential={_KEY}/" in request.headers.get("authorization", ""),
            unknown=_UNKNOWN_KEY,
            signed=None if tls is None else tls.signed_by(self._authority),
        )
        return line, self._to(line.url)

    def credentials(self, *, are_right: bool) -> Settings:
        """See `Place.credentials`."""
        return {"s3": {"access_key": _KEY if are_right else "wrong"}}

    def trusting(self, ca: Path) -> Settings:
        """See `Place.trusting`."""
        return {"s3": {"ca": str(ca)}}

    def found(self) -> Counter[str]:
        """See `Place.found`."""
        client = self._client()
        keys = [item["Key"] for item in client.list_objects_v2(Bucket=self._name).get("Contents", [])]
        objects = (client.get_object(Bucket=self._name, Key=key)["Body"].read() for key in keys if key.endswith("zst"))
        return _bodies(objects)

    def _client(self) -> Any:
        access = {"aws_access_key_id": _KEY, "aws_secret_access_key": _KEY, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=self._url, **access)

    def _to(self, url: str) -> Settings:
        s3 = {"endpoint": url, "access_key": _KEY, "secret_key": _KEY, "region": "us-east-1"}
        return {"type": "file", "url": f"s3://{self._name}/clew", "s3": s3}


def _bodies(files: Iterator[bytes]) -> Counter[str]:
    unpacked = (bytes(pa.CompressedInputStream(pa.BufferReader(file), "zstd").read()) for file in files)
    return Counter(orjson.loads(line)["body"] for text in unpacked for line in text.splitlines())
