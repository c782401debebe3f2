"""Why the inventory says no: one name for each reason, and what that is as a gRPC and as an HTTP status."""

from typing import NamedTuple

from grpc import StatusCode

METADATA_KEY = "problem-code"
"""Of the trailing metadata of an RPC that was refused: gRPC's few codes do not tell one reason from another."""


class Refusal(NamedTuple):
    """One reason in the words of both protocols."""

    grpc_status: StatusCode
    http_status: int


REFUSALS = {
    "invalid_request": Refusal(StatusCode.INVALID_ARGUMENT, 422),
    "unknown_product": Refusal(StatusCode.NOT_FOUND, 404),
    "out_of_stock": Refusal(StatusCode.FAILED_PRECONDITION, 409),
    "order_cancelled": Refusal(StatusCode.FAILED_PRECONDITION, 409),
    "too_big_to_wrap": Refusal(StatusCode.OUT_OF_RANGE, 422),
    "product_busy": Refusal(StatusCode.RESOURCE_EXHAUSTED, 503),
}
"""All there are, by name."""
