"""Looking into arrays, maps and bytes, which a batch holds encoded, without decoding them.

SQL cannot parse nested protobuf. So the readable parts are laid out line by line, in more ways than one where it is
not certain where a text begins; what is looked for is in one of them. More may be found than is there, not less.
"""

from typing import Final

from clew_collector.wire.attributes import ValueType as V

ENCODED_TYPES: Final = (V.BYTES, V.ARRAY, V.MAP, V.MAP_ENTRIES)

# The printed form of a blob has \xHH for each byte that is not plain ASCII, a quote or a backslash. What is valid
# UTF-8 of these is brought back, all others begin a new line.
_BYTE: Final = r"\\x({})"
_REST: Final = _BYTE.format("[89AB][0-9A-F]")
_SEQUENCES: Final = (
    (_BYTE.format("(?:C[2-9A-F]|D[0-9A-F])") + _REST, r"%\1%\2"),
    (_BYTE.format("E0") + _BYTE.format("[AB][0-9A-F]") + _REST, r"%\1%\2%\3"),
    (_BYTE.format("E[1-9A-CEF]") + _REST * 2, r"%\1%\2%\3"),
    (_BYTE.format("ED") + _BYTE.format("[89][0-9A-F]") + _REST, r"%\1%\2%\3"),
    (_BYTE.format("F0") + _BYTE.format("[9AB][0-9A-F]") + _REST * 2, r"%\1%\2%\3%\4"),
    (_BYTE.format("F[1-3]") + _REST * 3, r"%\1%\2%\3%\4"),
    (_BYTE.format("F4") + _BYTE.format("8[0-9A-F]") + _REST * 2, r"%\1%\2%\3%\4"),
    (r"\\x(09|22|27|5C)", r"%\1"),
    (r"\\x[0-9A-F]{2}", "%0A"),
)

# A text has its length before it (protobuf, length-delimited fields): a byte that prints as a character for 32 to
# 127. Without that character a word begins where the text does. Bytes have a colon before the length.
_WITHOUT_LENGTHS: Final = (
    (r"(\n)[^\n]", r"\1" + "\n"),
    (r"(:+)[^\n:]", r"\1" + "\n"),
    (r"(^|\n[^\n])\n[^\n]", "\n\n"),
)


def readable(text: str) -> str:
    """SQL for everything that can be read in an encoded value, given SQL for its text."""
    printed = (
        f"array_to_string(list_transform(regexp_split_to_array({text}, '[:,]'), lambda b: {_printed('b')}), chr(10))"
    )
    layouts = ["u", *(f"regexp_replace(u, '{regex}', '{new}', 'g')" for regex, new in _WITHOUT_LENGTHS)]
    return f"list_transform([{printed}], lambda u: {' || chr(10) || '.join(layouts)})[1]"


def _printed(encoded: str) -> str:
    text = f"replace(from_base64({encoded})::VARCHAR, '%', '%25')"
    for regex, new in _SEQUENCES:
        text = f"regexp_replace({text}, '{regex}', '{new}', 'g')"
    return f"url_decode({text})"
