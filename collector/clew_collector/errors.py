"""Errors named for what the caller should do."""


class ClewError(Exception):
    """Something a person can mend; the message says what, where, and what was seen."""


class ConfigError(ClewError):
    """Stop: a setting, a port or a directory cannot be used as asked. Commands exit with status 2."""


class BadPayload(ClewError):
    """Answer 400: the bytes are not what their content type says. Sending them again will not help."""


class PayloadTooLarge(ClewError):
    """Answer 413: the body, or what it decompresses to, is over the limit."""


class StoreUnavailable(ClewError):
    """Try again: the store cannot be asked or written to right now (disk full, server away)."""


class BadQuery(ClewError):
    """Answer 400: what was asked cannot be understood; the message says what would be."""


class SpoolFull(ClewError):
    """Answer 429 with Retry-After: too much waits to be stored. Sending again later will help."""


class RateLimited(SpoolFull):
    """Answer 429 with Retry-After: this sender sends more than it may. Sending again later will help."""


class Unauthorized(ClewError):
    """Answer 401: a key is asked for, and none that is known here was shown."""
