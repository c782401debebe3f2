"""The settings' redaction of one value, and the one redactor that goes by the settings of the moment."""

from typing import Final

from clew.freezing import Frozen
from clew.redaction.keys import SecretKeys
from clew.redaction.texts import REDACTED, SecretTexts
from clew.runtime import RUNTIME
from clew.settings import Settings

_HARMLESS: Final = frozenset({bool, type(None)})
"""Whether there is a password is no secret."""


class Redactor:
    """Takes secrets out of frozen values. Safe to use from several threads."""

    __slots__ = ("_keys", "_texts", "is_on")

    def __init__(self, settings: Settings) -> None:
        self.is_on = settings.redact
        self._keys = SecretKeys(settings.redact_keys)
        self._texts = SecretTexts(settings.redact_patterns, settings.redact_keys)

    def text(self, text: str) -> str:
        """A text without its secrets; the same object if it has none."""
        return self._texts.redact(text) if self.is_on else text

    def field(self, name: object, value: Frozen) -> Frozen:
        """The value of a field of this name."""
        kind = type(value)
        if not self.is_on or kind in _HARMLESS:
            return value
        if self._keys.has(name):
            return REDACTED
        if kind is str:
            return self._texts.redact(value)  # type: ignore[arg-type]
        return value if kind is int or kind is float else self.value(value)

    def value(self, value: Frozen) -> Frozen:
        """A value without a name, with all that is in it."""
        if not self.is_on:
            return value
        match value:
            case str():
                return self._texts.redact(value)
            case bytes():
                return self._bytes(value)
            case tuple():
                return tuple([self.value(item) for item in value])
            case dict():
                return {self._name(name): self.field(name, item) for name, item in value.items()}
            case _:
                return value

    def _name(self, name: str) -> str:
        """A mapping may be keyed by what is secret itself: sessions by their tokens, say."""
        return self._texts.redact(name)

    def _bytes(self, value: bytes) -> bytes:
        text = value.decode("latin-1")
        shown = self._texts.redact(text)
        return value if shown is text else shown.encode("latin-1", "replace")


class _Current:
    """The redactor of the settings that were seen last."""

    __slots__ = ("by", "redactor", "settings")

    def __init__(self) -> None:
        self.settings: Settings | None = None
        self.by: tuple[object, ...] = ()
        self.redactor: Redactor | None = None

    def follow(self, settings: Settings) -> Redactor:
        """The redactor for these settings: the same one as long as they redact alike."""
        by = (settings.redact, settings.redact_keys, settings.redact_patterns)
        redactor = self.redactor
        if redactor is None or by != self.by:
            redactor = self.redactor = Redactor(settings)
            self.by = by
        self.settings = settings
        return redactor


_CURRENT: Final = _Current()


def current_redactor() -> Redactor:
    """The redactor for the settings as they are now."""
    settings = RUNTIME.settings
    redactor = _CURRENT.redactor
    return redactor if redactor is not None and _CURRENT.settings is settings else _CURRENT.follow(settings)
