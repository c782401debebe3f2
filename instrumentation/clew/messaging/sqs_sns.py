"""Amazon SQS and SNS by boto3: each message carries the IDs of the request that sent it, among its attributes.

A `receive_message` is only a call, of which nobody can tell where the work on its messages ends:
`with processing(message, queue):` says it.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from botocore.client import BaseClient
from botocore.exceptions import ClientError
from opentelemetry.trace import StatusCode
from opentelemetry.util.types import AnyValue

from clew import fields
from clew.clients.outgoing import scope_of
from clew.clients.wrapping import AnyFunction, wrap
from clew.context import CURRENT, restore
from clew.messaging.aws_messages import (
    QUEUE_URL,
    SNS,
    SQS,
    TOPIC_ARN,
    name_of,
    processing,
    processing_batch,
    with_ids,
)
from clew.messaging.by_hand import outgoing_headers
from clew.messaging.operations import MESSAGE_COUNT, MESSAGE_ID, Sending
from clew.runtime import RUNTIME

__all__ = ["install", "processing", "processing_batch"]

_TRACED_BY: Final = ("opentelemetry.instrumentation.botocore", "opentelemetry.instrumentation.boto3sqs")
_CHANGE_KEY: Final = "clew.aws_change"
"""In the context of a call: its operation, and what is to be done to its parameters when they are sent."""

_TOO_MUCH: Final = frozenset(
    {
        "InvalidParameterValue",
        "InvalidParameter",
        "ParameterValueInvalid",
        "InvalidMessageContents",
        "BatchRequestTooLong",
        "AWS.SimpleQueueService.BatchRequestTooLong",
    }
)
"""What a message is refused for that our attributes have made too long; among other things that are not our matter."""

_WRITTEN: Final = {
    "tracecontext": ("traceparent", "tracestate"),
    "baggage": ("baggage",),
    "b3": ("b3",),
    "b3multi": ("X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled"),
    "xray": ("X-Amzn-Trace-Id",),
}
"""The names of attributes by the propagator that writes them: SQS wants to be asked for each, in the right case."""

Params = dict[str, Any]
Change = Callable[[Params], Params]


class _Send(NamedTuple):
    """An operation that sends."""

    service: str
    system: str
    operation: str
    batch: str | None = None
    """The parameter with the messages of a batch."""


_SENDS: Final = {
    "SendMessage": _Send("sqs", SQS, "send"),
    "SendMessageBatch": _Send("sqs", SQS, "send", "Entries"),
    "Publish": _Send("sns", SNS, "publish"),
    "PublishBatch": _Send("sns", SNS, "publish", "PublishBatchRequestEntries"),
}


def install() -> None:
    """Wrap the calls of all clients; twice is the same as once."""
    wrap(BaseClient, "_make_api_call", _around_call)
    # The parameters are changed late: botocore's `Stubber` compares them with what a test expects before.
    wrap(BaseClient, "_emit_api_params", _around_params)


def _around_call(original: AnyFunction) -> AnyFunction:
    def _make_api_call(self: BaseClient, operation_name: str, api_params: Any) -> Any:
        send = _SENDS.get(operation_name)
        if (send is None and operation_name != "ReceiveMessage") or not RUNTIME.enabled:
            return original(self, operation_name, api_params)
        service = self.meta.service_model.service_name
        call = functools.partial(original, self, operation_name, api_params)
        if send is not None and service == send.service and isinstance(api_params, Mapping):
            return _send(call, operation_name, send, api_params)
        if send is None and service == "sqs":
            return _changing(call, operation_name, _asking_for_ids)
        return call()

    return _make_api_call


def _around_params(original: AnyFunction) -> AnyFunction:
    def _emit_api_params(self: BaseClient, *args: Any, **kwargs: Any) -> Any:
        params = original(self, *args, **kwargs)
        found = CURRENT.get().get(_CHANGE_KEY)
        if not isinstance(found, tuple) or not isinstance(params, dict):
            return params
        model = kwargs.get("operation_model") or (args[1] if len(args) > 1 else None)
        operation_name, change = found
        return change(params) if getattr(model, "name", None) == operation_name else params

    return _emit_api_params


def _changing(call: Callable[[], Any], operation_name: str, change: Change) -> Any:
    """Make a call whose parameters are changed on their way."""
    context = CURRENT.get()
    token = CURRENT.set(type(context)({**context, _CHANGE_KEY: (operation_name, change)}))
    try:
        return call()
    finally:
        restore(token)


def _send(call: Callable[[], Any], operation_name: str, send: _Send, params: Mapping[str, Any]) -> Any:
    if scope_of(CURRENT.get()).startswith(_TRACED_BY):
        # The span of this call is there already, but it is not written everywhere.
        return _sent(call, operation_name, send, outgoing_headers())
    destination, attributes = _destination(params)
    if send.batch is not None and isinstance(entries := params.get(send.batch), Sequence):
        attributes[MESSAGE_COUNT] = len(entries)
    with Sending(send.system, destination, operation=send.operation, attributes=attributes) as sending:
        response = _sent(call, operation_name, send, sending.headers)
        _note_outcome(sending, response)
        return response


def _sent(call: Callable[[], Any], operation_name: str, send: _Send, headers: Mapping[str, str]) -> Any:
    if not headers:
        return call()
    try:
        return _changing(call, operation_name, functools.partial(_carrying, send, headers))
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _TOO_MUCH:
            raise
    # It may be our attributes that were too much. Without them it is the service's own matter.
    return call()


def _carrying(send: _Send, headers: Mapping[str, str], params: Params) -> Params:
    """The parameters of a call that sends, IDs in each message; new ones, for the service's own may be used again."""
    if send.batch is None:
        return params if _is_for_one(params) else _with_attributes(params, headers)
    entries = params.get(send.batch)
    if not isinstance(entries, (list, tuple)):
        return params
    return {**params, send.batch: [_with_attributes(entry, headers) for entry in entries]}


def _with_attributes(message: Any, headers: Mapping[str, str]) -> Any:
    if not isinstance(message, dict):
        return message
    attributes = with_ids(message.get("MessageAttributes"), headers)
    return {**message, "MessageAttributes": attributes} if attributes else message


def _is_for_one(params: Params) -> bool:
    """Whether SNS sends to one telephone: attributes have a meaning of their own there."""
    return "PhoneNumber" in params or ":endpoint/" in str(params.get("TargetArn", ""))


def _asking_for_ids(params: Params) -> Params:
    """The parameters of a `ReceiveMessage` that asks for the IDs too."""
    names = params.get("MessageAttributeNames") or []
    if not isinstance(names, (list, tuple)) or "All" in names or ".*" in names:
        return params
    settings = RUNTIME.settings
    wanted = [name for propagator in settings.propagators for name in _WRITTEN.get(propagator, ())]
    wanted.append(settings.request_id_header)
    return {**params, "MessageAttributeNames": [*names, *(name for name in wanted if name not in names)]}


def _destination(params: Mapping[str, Any]) -> tuple[str, dict[str, AnyValue]]:
    """What a message is sent to, and the attributes that say it; never a telephone number."""
    url = params.get("QueueUrl")
    if isinstance(url, str):
        return name_of(url), {QUEUE_URL: url}
    topic = params.get("TopicArn") or params.get("TargetArn")
    if isinstance(topic, str):
        return name_of(topic), {TOPIC_ARN: topic}
    return "phone_number", {}


def _note_outcome(sending: Sending, response: Any) -> None:
    span = sending.span
    if span is None or not isinstance(response, Mapping):
        return
    if isinstance(message_id := response.get("MessageId"), str):
        span.set_attribute(MESSAGE_ID, message_id)
    failed = response.get("Failed")
    if isinstance(failed, list) and failed:
        span.set_attribute(fields.ERROR_TYPE, str(failed[0].get("Code", "_OTHER")))
        span.set_status(StatusCode.ERROR, f"{len(failed)} messages of the batch were not taken")
