"""What a gRPC call says about itself, on either side of it.

Names and attributes by https://opentelemetry.io/docs/specs/semconv/rpc/grpc/, version 1.42 (release candidate): the
method is one full name (`rpc.service` is deprecated), the status code its name (`rpc.grpc.status_code`, its number, is
deprecated). The attributes are made on the export thread.
"""

from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import unquote

import grpc

from clew import fields
from clew.freezing import Frozen, safe_text
from clew.spans import STATUS_ERROR, AlikeAttributes, LightSpan

SERVER_ERRORS: Final = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Codes that say that a server failed; the others say what was wrong with the call. For a client all but OK are errors.
"""

SYSTEM: Final = "grpc"
TRACED_BY: Final = "opentelemetry.instrumentation.grpc"

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_SCHEMES: Final = frozenset({"dns", "ipv4", "ipv6", "passthrough", "xds", "google-c2p"})


class Outcome(NamedTuple):
    """How a call ended."""

    code: str
    """Empty: it never was a call."""

    details: str = ""
    error: BaseException | None = None
    """To be recorded. Not an `RpcError` that only says the same as the code."""


class Rpc(NamedTuple):
    """What a call is known by before it ends."""

    method: str
    """`package.Service/Method`."""

    is_known: bool = True
    """Whether that is a method of the server: a client must not choose how many operations a service has."""

    target: str = ""
    """What a client's channel was made with."""

    peer: str = ""
    """A server's client, as gRPC writes it."""


def code_name(code: object, default: str = "UNKNOWN") -> str:
    """A status code's name, of what a service may have set as one; `default` for None."""
    if isinstance(code, int):
        code = _CODES.get(code, grpc.StatusCode.UNKNOWN)
    return code.name if isinstance(code, grpc.StatusCode) else default if code is None else "UNKNOWN"


def text_of(details: object) -> str:
    """A status's details, which may be bytes."""
    return details.decode("utf-8", "replace") if isinstance(details, bytes) else safe_text(details or "")


def describe(span: LightSpan, rpc: Rpc, outcome: Outcome, *, is_error: bool) -> None:
    """Write onto a span, which is to be ended next, how its call went."""
    code, details, error = outcome
    error_type = code if is_error and error is None else None
    if is_error and not span.status:
        span.status = STATUS_ERROR
        span.status_description = details or None
    span.details = rpc, code, error_type
    span.describe = _describe


def _describe(span: LightSpan) -> tuple[AlikeAttributes, list[tuple[str, Frozen]]]:
    (method, is_known, target, peer), code, error_type = span.details
    other: list[tuple[str, Frozen]] = []
    if not is_known:
        other.append(("rpc.method_original", method))
        method = "_OTHER"
    if peer:
        other.append(("client.address", _address(peer)[0]))
    return _describe_alike(method, target, code, error_type), other


@lru_cache(maxsize=1_024)
def _describe_alike(method: str, target: str, code: str, error_type: str | None) -> AlikeAttributes:
    described: dict[str, Frozen] = {"rpc.system.name": SYSTEM, "rpc.method": method}
    if code:
        described["rpc.response.status_code"] = code
    if target:
        described["server.address"], port = _address(target)
        if port is not None:
            described["server.port"] = port
    if error_type is not None:
        described[fields.ERROR_TYPE] = error_type
    return AlikeAttributes(described)


def _address(name: str) -> tuple[str, int | None]:
    """Host and port of a name as https://github.com/grpc/grpc/blob/master/doc/naming.md defines it."""
    scheme, separator, rest = name.partition(":")
    if scheme in ("unix", "unix-abstract"):
        return rest, None
    if separator and scheme in _SCHEMES:
        name = rest.rpartition("/")[2]
    name = unquote(name.partition(",")[0])
    host, _, port = name.rpartition(":")
    if host and port.isdigit() and len(port) <= 5 and (":" not in host or host.endswith("]")):
        return host.strip("[]"), int(port)
    return name.strip("[]"), None
