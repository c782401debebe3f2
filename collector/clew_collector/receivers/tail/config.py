"""Which files are followed, and how their lines are read."""

import codecs
import json
import re
from hashlib import blake2b
from pathlib import PurePath
from typing import Final, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from clew_collector.wire.lines.formats import Format
from clew_collector.wire.lines.line import Reading

_SINGLE_LINE: Final[frozenset[Format]] = frozenset(("json", "logfmt", "nginx", "apache"))
_NEEDS_BYTE_ORDER: Final = ("utf-16", "utf-32")


class TailConfig(BaseModel):
    """An item of the list `receivers.tail` in clew.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    paths: tuple[str, ...] = Field(min_length=1)
    """Files, or patterns of `*`, `?`, `[...]` and `**`. They may match rotated files as well: no line is read twice."""
    exclude: tuple[str, ...] = ()
    """Patterns of files that are left alone: `*.bak`, or a whole path."""
    format: Format = "auto"
    service: str | None = Field(default=None, min_length=1, max_length=255)
    """The service of lines that name none; `file` is the name of the file up to its first dot."""
    multiline: str = "auto"
    """`auto` joins stack traces and lines that are indented in files of text, `off` nothing; else a regular expression
    that each first line of a record matches."""
    start_at: Literal["end", "beginning"] = "end"
    """Where files are read from that are there when clew first knows of this item. All later ones are read whole."""
    encoding: str = "utf-8"
    timezone: str | None = None
    """That of times without one, such as `Europe/Berlin`; by default this machine's."""
    max_line_bytes: int = Field(default=256 << 10, ge=1 << 10, le=1 << 20)
    """What is longer, line or stack trace, is cut."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """Added to the resource of each record."""
    ids_in_text: bool = True
    """Whether the IDs of a request are looked for in the text, too, not in fields only."""

    @field_validator("multiline")
    @classmethod
    def _is_pattern(cls, text: str) -> str:
        try:
            re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"must be auto, off or a regular expression, got {text!r}: {error}") from error
        return text

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, name: str) -> str:
        try:
            found = codecs.lookup(name).name
            is_text = "\n".encode(name).decode(name) == "\n"
        except (LookupError, UnicodeError) as error:
            raise ValueError(f"must be a text encoding that Python knows, got {name!r}") from error
        if not is_text or found in _NEEDS_BYTE_ORDER:
            raise ValueError(f"must name its byte order: {found}-le or {found}-be, got {name!r}")
        return name

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, name: str | None) -> str | None:
        try:
            return name if name is None else ZoneInfo(name).key
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"must be a zone such as Europe/Berlin or UTC, got {name!r}") from error

    @property
    def id(self) -> str:
        """What checkpoints know this item by: which files it is about."""
        return blake2b(json.dumps([self.paths, self.exclude]).encode(), digest_size=6).hexdigest()

    @property
    def start(self) -> "re.Pattern[bytes] | Literal['auto', 'off']":
        """What a record begins with."""
        if self.multiline == "off" or (self.multiline == "auto" and self.format in _SINGLE_LINE):
            return "off"
        return "auto" if self.multiline == "auto" else re.compile(self.multiline.encode())

    def service_of(self, name: str) -> str:
        """The service of a file's lines that name none; empty if there is none."""
        return PurePath(name).name.partition(".")[0] if self.service == "file" else self.service or ""

    def reading(self, received_ns: int) -> Reading:
        """How lines are read that came now."""
        zone = None if self.timezone is None else ZoneInfo(self.timezone)
        return Reading(received_ns=received_ns, zone=zone, ids_in_text=self.ids_in_text)
