"""Redaction of one value, as SQL.

Most records hold no secret, and a regular expression costs more to start than to run. So a record is first looked at
as a whole, in one pass over its joined texts (122,880 log records: 0.1 s, against 0.5 s for each text by itself), then
each list of attributes, and only what looks suspicious is taken apart.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Literal

from clew_collector.processors.encoded_texts import ENCODED_TYPES, readable
from clew_collector.processors.literals import glob_regex, literal
from clew_collector.processors.secret_patterns import SecretPattern
from clew_collector.wire.attributes import ValueType as V

REDACTED: Final = "REDACTED"
"""What the middleware writes, too."""

_WORDLESS_ANCHOR: Final = re.compile(r"\\[AzQC]|\(\?[a-zA-Z]*-|\(\?[a-zA-Z]*U")
"""Means something else in joined texts than in one alone."""

_FIRST_ENCODED: Final = int(min(ENCODED_TYPES))
_STRING: Final = f"{int(V.STRING)}::UTINYINT"
_READABLE_TYPES: Final = f"({int(V.STRING)}, {int(V.INT)}, {int(V.DOUBLE)})"


class Redaction:
    """SQL expressions by which values are redacted. Their arguments are SQL expressions, too."""

    def __init__(
        self,
        *,
        keys: Sequence[str],
        patterns: Sequence[SecretPattern],
        action: Literal["mask", "remove", "hash"],
        salt: str,
    ) -> None:
        self.patterns = patterns
        self._keys = keys
        self._action = action
        self._salt = salt
        self._any = "|".join(f"(?:{pattern.regex})" for pattern in patterns)
        self._is_joinable = not any(_WORDLESS_ANCHOR.search(pattern.regex) for pattern in patterns)

    def suspicious(self, *, texts: Sequence[str], keys: Sequence[str], types: Sequence[str]) -> str:
        """True if one of these texts or lists of texts, keys or types may be of something that is to be redacted."""
        clauses = [f"coalesce(list_max({codes}), 0) >= {_FIRST_ENCODED}" for codes in types]
        if self._keys:
            parts = [max(re.split(r"[*?]", key), key=len).lower() for key in self._keys]
            clauses.append(f"regexp_matches(lower({_joined(keys)}), {literal('|'.join(map(re.escape, parts)))})")
        if self.patterns and self._is_joinable:
            clauses.append(f"regexp_matches({_joined(texts)}, {literal(f'(?m:{self._any})')})")
        elif self.patterns:
            clauses.append("true")
        return f"({' OR '.join(clauses)})"

    def attributes(self, keys: str, texts: str, types: str, *, spared: str = "") -> str:
        """A list of `{k, t, y}` of the attributes, redacted; NULL where they need not be.

        The attribute whose key is `spared` is not redacted by its key.
        """
        entry = f"""CASE
            WHEN {self._is_secret_key("a[1]", spared)} THEN {self._entry(self._secret("a[2]"))}
            WHEN a[3] >= {_FIRST_ENCODED} THEN {self._encoded_entry()}
            WHEN a[3] IN {_READABLE_TYPES} THEN {self._text_entry()}
            ELSE {self._entry("a[2]", "a[3]")} END"""
        each = f"list_transform(list_zip({keys}, {texts}, {types}), lambda a: {entry})"
        stays = f"list_filter({each}, lambda r: r IS NOT NULL)" if self._action == "remove" else each
        return f"CASE WHEN {self.suspicious(texts=[lines(texts)], keys=[lines(keys)], types=[types])} THEN {stays} END"

    def value(self, text: str, value_type: str) -> str:
        """`{t, y}` for a value without a key; NULL where it need not be redacted. What is removed is left empty."""
        nothing = f"{{'t': '', 'y': {int(V.EMPTY)}::UTINYINT}}"
        secret = self._secret(text)
        whole = nothing if secret is None else f"{{'t': {secret}, 'y': {_STRING}}}"
        changed = _let(
            self._replaced(text),
            lambda new: (
                f"""CASE WHEN {new} IS NULL THEN {nothing}
                WHEN {new} <> {text} THEN {{'t': {new}, 'y': {_STRING}}} END"""
            ),
        )
        return f"""CASE
            WHEN {value_type} >= {_FIRST_ENCODED} THEN
                CASE WHEN {self._found_in_encoded(text)} THEN {whole} END
            WHEN {value_type} IN {_READABLE_TYPES} AND {self._found(text)} THEN {changed} END"""

    def text(self, text: str, *, empty: str) -> str:
        """A text without a type; `empty` is what is left of it where it is removed."""
        if not self.patterns:
            return text
        return f"CASE WHEN {self._found(text)} THEN coalesce({self._replaced(text)}, {empty}) ELSE {text} END"

    def identifier(self, text: str, *, key: str) -> str | None:
        """An ID that also stands in the attribute `key`; `None` if it is never redacted.

        Only its hash still tells one from another: masked or removed it is NULL, or strangers would share an ID.
        """
        if self._keys and re.search(glob_regex(self._keys, flags="is"), key):
            return f"CASE WHEN {text} IS NOT NULL THEN {self._hash(text)} END" if self._action == "hash" else "NULL"
        if not self.patterns:
            return None
        new = self._replaced(text)
        kept = new if self._action == "hash" else _let(new, lambda t: f"CASE WHEN {t} = {text} THEN {text} END")
        return f"CASE WHEN {self._found(text)} THEN {kept} ELSE {text} END"

    def _is_secret_key(self, key: str, spared: str) -> str:
        if not self._keys:
            return "false"
        matches = f"regexp_matches({key}, {literal(glob_regex(self._keys, flags='is'))})"
        return f"({matches} AND {key} <> {literal(spared)})" if spared else matches

    def _text_entry(self) -> str:
        same = self._entry("a[2]", "a[3]")
        if not self.patterns:
            return same
        changed = _let(
            self._replaced("a[2]"),
            # An int that is no card after all stays an int.
            lambda new: (
                f"""CASE WHEN {new} IS NULL THEN NULL WHEN {new} = a[2] THEN {same}
                ELSE {self._entry(new)} END"""
            ),
        )
        return f"CASE WHEN {self._found('a[2]')} THEN {changed} ELSE {same} END"

    def _encoded_entry(self) -> str:
        same = self._entry("a[2]", "a[3]")
        return f"CASE WHEN {self._found_in_encoded('a[2]')} THEN {self._entry(self._secret('a[2]'))} ELSE {same} END"

    def _entry(self, text: str | None, value_type: str = _STRING) -> str:
        return "NULL" if text is None else f"{{'k': a[1], 't': {text}, 'y': {value_type}}}"

    def _secret(self, text: str) -> str | None:
        """What stands for a value that is secret as a whole; `None` if nothing does."""
        if self._action == "remove":
            return None
        return f"'{REDACTED}'" if self._action == "mask" else self._hash(text)

    def _found(self, text: str) -> str:
        return f"regexp_matches({text}, {literal(self._any)})" if self.patterns else "false"

    def _found_in_encoded(self, text: str) -> str:
        """True if a text within an encoded value matches, or the key of an entry. A card number is not checked here."""
        wanted = [f"(?ms:{self._any})"] if self.patterns else []
        if self._keys:
            wanted.append(glob_regex(self._keys, flags="ims"))
        return f"regexp_matches({readable(text)}, {literal('|'.join(wanted))})"

    def _replaced(self, text: str) -> str:
        """A text without its secrets; NULL if it is to be removed for them."""
        for pattern in self.patterns:
            text = self._without(pattern, text)
        return text

    def _without(self, pattern: SecretPattern, text: str) -> str:
        regex = literal(pattern.regex)
        if self._action == "mask" and pattern.check is None:
            return f"regexp_replace({text}, {regex}, '{REDACTED}', 'g')"
        if self._action == "remove":
            is_secret = f"len(list_filter(regexp_extract_all(s, {regex}), lambda m: {_checked(pattern, 'm')})) > 0"
            return f"list_transform([{text}], lambda s: CASE WHEN {is_secret} THEN NULL ELSE s END)[1]"
        new = f"'{REDACTED}'" if self._action == "mask" else self._hash("m")
        if pattern.check is not None:
            new = f"CASE WHEN {pattern.check('m')} THEN {new} ELSE m END"
        # Pieces between matches, each with what becomes of the match after it.
        secrets = f"list_transform(regexp_extract_all(s, {regex}), lambda m: {new})"
        both = f"list_zip(regexp_split_to_array(s, {regex}), {secrets})"
        pieces = f"list_transform({both}, lambda p: p[1] || coalesce(p[2], ''))"
        return f"list_transform([{text}], lambda s: array_to_string({pieces}, ''))[1]"

    def _hash(self, text: str) -> str:
        """Short enough to read, long enough to tell values apart."""
        return f"('sha256:' || left(sha256({literal(self._salt)} || {text}), 16))"


def lines(texts: str) -> str:
    """A list of texts as one text, a line each."""
    return f"array_to_string({texts}, chr(10))"


def _joined(texts: Sequence[str]) -> str:
    return f"concat_ws(chr(10), {', '.join(texts)})"


def _let(expression: str, body: Callable[[str], str]) -> str:
    """An expression that is computed once and used in another."""
    return f"list_transform([{expression}], lambda new: {body('new')})[1]"


def _checked(pattern: SecretPattern, match: str) -> str:
    return "true" if pattern.check is None else pattern.check(match)
