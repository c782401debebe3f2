"""What never leaves the process: signatures and credentials in addresses.

The parameters are those that OpenTelemetry's conventions name:
https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/.
"""

import re
from typing import Final

_secrets: Final = re.compile(
    r"(?<![^&?])(AWSAccessKeyId|Signature|sig|X-Goog-Signature|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token)"
    r"=[^&#]*"
).sub


def redact_query(query: str) -> str:
    """A query (or an address that ends in one) with the values of such parameters replaced by REDACTED."""
    return _secrets(r"\1=REDACTED", query)
