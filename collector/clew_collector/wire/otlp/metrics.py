"""OTLP metrics: read only as far as it takes to tell the sender how many points are not kept."""

import orjson
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from clew_collector.errors import BadPayload

_NOT_KEPT = "clew keeps logs and traces, not metrics; turn the metrics exporter off"


def parse(body: bytes, *, is_json: bool) -> ExportMetricsServiceRequest:
    """The request in a body. Raises `BadPayload` if the bytes are not one."""
    try:
        if is_json:
            document = orjson.loads(body)
            if not isinstance(document, dict):
                raise BadPayload(f"an OTLP/JSON metrics request must be an object, got {type(document).__name__}")
            return ParseDict(document, ExportMetricsServiceRequest(), ignore_unknown_fields=True)
        return ExportMetricsServiceRequest.FromString(body)
    except (DecodeError, ParseError, orjson.JSONDecodeError, RecursionError, ValueError, TypeError) as error:
        raise BadPayload(f"not an OTLP metrics request: {error}") from error


def count_points(request: ExportMetricsServiceRequest) -> int:
    """How many data points a request holds, over all kinds of metrics."""
    metrics = (
        metric for group in request.resource_metrics for scope in group.scope_metrics for metric in scope.metrics
    )
    return sum(
        len(getattr(metric, kind).data_points) for metric in metrics if (kind := metric.WhichOneof("data")) is not None
    )


def refuse_points(points: int) -> ExportMetricsServiceResponse:
    """The response that says that none of so many points is kept; empty if there were none."""
    response = ExportMetricsServiceResponse()
    if points:
        response.partial_success.rejected_data_points = points
        response.partial_success.error_message = _NOT_KEPT
    return response
