"""Messages of SQS and SNS as they are on the wire and in Lambda's events: their IDs, and where they come from.

Needs no library of AWS. Nothing here raises, whatever a message is: somebody else has written it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from opentelemetry.util.types import AnyValue

from clew.incoming import Following
from clew.messaging import operations
from clew.propagation import PARENT_HEADERS, TRACESTATE
from clew.runtime import RUNTIME

SQS: Final = "aws_sqs"
SNS: Final = "aws.sns"
QUEUE_URL: Final = "aws.sqs.queue.url"
TOPIC_ARN: Final = "aws.sns.topic.arn"
MAX_ATTRIBUTES: Final = 10
"""Of one message. SNS takes more of them, but then loses messages on their way to a queue.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html"""

_ORDER: Final = ("traceparent", "", "baggage")
"""Of the IDs, for messages that have no room for all; the empty one is the request ID, whatever it is called."""

_PARENT_NAMES: Final = frozenset(name.decode() for name in (*PARENT_HEADERS, TRACESTATE))
_VALUES: Final = ("StringValue", "stringValue", "Value")
"""What an attribute's text is called: by SQS, in Lambda's events of SQS, by SNS."""

_MAX_ENVELOPE_CHARACTERS: Final = 1_048_576


def processing(message: object, queue: str = "") -> Following:
    """`with processing(message, queue):` around the work on one message: it goes on in its sender's request.

    A message is what `receive_message` returned, a `Message` of boto3's resources, or a record of a Lambda event;
    `queue` is the queue's name or URL, where the message itself does not know it.
    """
    system, destination = source_of(message, queue)
    return operations.processing(system, destination, headers_of(message), attributes=_attributes_of(message, queue))


def processing_batch(messages: Iterable[object], queue: str = "") -> Following:
    """`with processing_batch(messages, queue):` around the work on many messages at once: linked to each sender."""
    several = list(messages)
    system, destination = source_of(several[0] if several else None, queue)
    return operations.processing_batch(system, destination, map(headers_of, several))


def headers_of(message: object) -> list[tuple[str, str]]:
    """The headers that a message brings: its attributes, or those of SNS's message that it wraps."""
    sns = _field(message, "Sns")
    if sns is not None:
        return list(_texts(_field(sns, "MessageAttributes")))
    found = list(_texts(_field(message, "MessageAttributes", "messageAttributes", "message_attributes")))
    if not any(name.lower() in _PARENT_NAMES for name, _ in found):
        found += _texts(_field(_envelope(_field(message, "Body", "body")), "MessageAttributes"))
    xray = _field(_field(message, "Attributes", "attributes"), "AWSTraceHeader")
    if isinstance(xray, str):
        found.append(("x-amzn-trace-id", xray))
    return found


def source_of(message: object, queue: str = "") -> tuple[str, str]:
    """The messaging system that a message comes from, and its queue or topic."""
    topic = _field(_field(message, "Sns"), "TopicArn")
    if isinstance(topic, str):
        return SNS, name_of(topic)
    source = queue or _field(message, "eventSourceARN", "queue_url")
    return SQS, name_of(source) if isinstance(source, str) and source else "sqs"


def name_of(address: str) -> str:
    """The name at the end of a queue's URL or of an ARN."""
    return address.rpartition("/")[2].rpartition(":")[2]


def with_ids(attributes: Any, headers: Mapping[str, str]) -> Any:
    """A message's attributes, and IDs among them as far as there is room. What are no attributes stays as it is.

    A service that passes on the attributes of a message that it has read must not pass on that message's span; a
    request ID that it chose stays.
    """
    if not headers or not (attributes is None or isinstance(attributes, Mapping)):
        return attributes
    request_id = RUNTIME.headers.request_id_name
    given = {str(name).lower() for name in attributes or ()}
    own = {name: value for name, value in headers.items() if name != request_id or name.lower() not in given}
    replaced = {name.lower() for name in own}
    if not _PARENT_NAMES.isdisjoint(replaced):
        replaced |= _PARENT_NAMES
    merged = {name: value for name, value in (attributes or {}).items() if str(name).lower() not in replaced}
    room = MAX_ATTRIBUTES - len(merged)
    for name in sorted(own, key=lambda name: _rank(name, request_id))[: max(0, room)]:
        merged[name] = {"DataType": "String", "StringValue": own[name]}
    return merged


def _rank(name: str, request_id: str) -> int:
    known = "" if name == request_id else name.lower()
    return _ORDER.index(known) if known in _ORDER else len(_ORDER)


def _attributes_of(message: object, queue: str) -> dict[str, AnyValue]:
    attributes: dict[str, AnyValue] = {}
    message_id = _field(message, "MessageId", "messageId", "message_id") or _field(_field(message, "Sns"), "MessageId")
    if isinstance(message_id, str):
        attributes[operations.MESSAGE_ID] = message_id
    url = queue or _field(message, "queue_url")
    if isinstance(url, str) and "://" in url:
        attributes[QUEUE_URL] = url
    count = _field(_field(message, "Attributes", "attributes"), "ApproximateReceiveCount")
    if isinstance(count, str) and count.isdigit() and int(count) > 1:
        attributes[operations.REDELIVERED] = True
    return attributes


def _texts(attributes: object) -> Iterator[tuple[str, str]]:
    """Names and values of attributes that are texts."""
    for name, attribute in attributes.items() if isinstance(attributes, Mapping) else ():
        for key in _VALUES:
            value = attribute.get(key) if isinstance(attribute, Mapping) else None
            if isinstance(name, str) and isinstance(value, str):
                yield name, value


def _envelope(body: object) -> object:
    """The notification that SNS has put into a queue; None for any other message."""
    if not isinstance(body, str) or len(body) > _MAX_ENVELOPE_CHARACTERS or '"Notification"' not in body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _field(value: object, *names: str) -> Any:
    """The first of these that a mapping, or an object of boto3's resources, has."""
    for name in names:
        found = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
        if found is not None:
            return found
    return None
