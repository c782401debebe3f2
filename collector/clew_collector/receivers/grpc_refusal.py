"""What a gRPC sender is told when a payload is not taken: a code, and whether and when to try again.

As https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response asks. `RetryInfo` is what makes an exporter try again
after RESOURCE_EXHAUSTED; without it the payload is dropped there.
"""

from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from clew_collector.errors import BadPayload, ClewError, PayloadTooLarge, SpoolFull, StoreUnavailable, Unauthorized
from clew_collector.receivers.answering import RETRY_AFTER_S, Unsupported, status_of

_DETAILS: Final = "grpc-status-details-bin"
"""Where gRPC carries a `google.rpc.Status`."""


class CallBrokenOff(ClewError):
    """A call ended before its message was there, or the message is larger than gRPC was told to take."""


class CallTooSlow(ClewError):
    """A call's message did not come in time; a network that is slow now may be faster later."""


def code_of(error: ClewError) -> Any:
    """The gRPC status code of a refusal."""
    match error:
        case Unsupported():
            return grpc.StatusCode.UNIMPLEMENTED
        case Unauthorized():
            return grpc.StatusCode.UNAUTHENTICATED
        case BadPayload() | CallBrokenOff():
            return grpc.StatusCode.INVALID_ARGUMENT
        case PayloadTooLarge() | SpoolFull():
            return grpc.StatusCode.RESOURCE_EXHAUSTED
        case StoreUnavailable():
            return grpc.StatusCode.UNAVAILABLE
        case CallTooSlow():
            return grpc.StatusCode.DEADLINE_EXCEEDED
        case _:
            return grpc.StatusCode.INTERNAL


def reason_of(error: ClewError) -> str:
    """The counter's reason for a refusal."""
    match error:
        case CallBrokenOff():
            return "broken off or too large"  # gRPC does not tell which
        case CallTooSlow():
            return "too slow"
        case Unauthorized():
            return "no key"
        case _:
            return status_of(error)[1]


def trailers_of(error: ClewError, message: str) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of a refusal: when to try again, if that will help."""
    if not isinstance(error, SpoolFull | StoreUnavailable):
        return ()
    retry = RetryInfo()
    retry.retry_delay.seconds = RETRY_AFTER_S
    status = Status(code=code_of(error).value[0], message=message)
    status.details.add().Pack(retry)
    return ((_DETAILS, status.SerializeToString()),)
