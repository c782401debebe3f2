"""Secrets are taken out where a value leaves the process: exported, or written to the console.

By the name of a field (`password`, `authorization`), and by what a text looks like (a card number, a bearer token).
What the service itself holds is never changed.
"""

from clew.redaction.redactor import Redactor, current_redactor
from clew.redaction.texts import REDACTED, redact_query

__all__ = ["REDACTED", "Redactor", "current_redactor", "redact_query"]
