"""IDs: made at random, and checked when they come from outside.

The generator is clew's own: a service that calls `random.seed(1)` must not repeat its trace IDs.
"""

import os
import re
from random import Random
from typing import Final

_random = Random()
random_bits: Final = _random.getrandbits

is_valid_correlation_id: Final = re.compile(r"[\x21-\x7e]{1,128}").fullmatch
"""Visible ASCII, at most 128 characters: what is safe in a header, a log line and a URL's path."""


def new_trace_id() -> int:
    """A random trace ID, never 0 (W3C Trace Context, section 3.2.2.3)."""
    return random_bits(128) or 1


def new_correlation_id() -> str:
    """A random correlation ID: 32 hexadecimal digits, as a UUID without its dashes."""
    # A third of the time that a format takes.
    return random_bits(128).to_bytes(16, "big").hex()


def begin_anew() -> None:
    """In a forked child: two children of one fork would make the same IDs, one after the other."""
    _random.seed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=begin_anew)
