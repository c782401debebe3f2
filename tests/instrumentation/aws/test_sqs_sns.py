import json
from types import SimpleNamespace
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from clew.messaging import sqs_sns
from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.messaging.observed import a_name as a_queue_name
from tests.instrumentation.messaging.observed import (
    assert_continues,
    clew_off,
    consumed,
    correlation_id_of,
    produced,
    spans_of_kind,
)

PRODUCER = Span.SPAN_KIND_PRODUCER
CONSUMER = Span.SPAN_KIND_CONSUMER
CREDENTIALS = {"region_name": "eu-central-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


@pytest.fixture
def sqs(aws_url: str, exported: FakeCollector) -> Any:
    return boto3.client("sqs", endpoint_url=aws_url, **CREDENTIALS)


@pytest.fixture
def sns(aws_url: str, exported: FakeCollector) -> Any:
    return boto3.client("sns", endpoint_url=aws_url, **CREDENTIALS)


@pytest.fixture
def queue(sqs: Any) -> str:
    """A new queue's URL."""
    return str(sqs.create_queue(QueueName=a_queue_name())["QueueUrl"])


def received(sqs: Any, queue: str, **options: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, **options)["Messages"]
    return sorted(messages, key=lambda message: str(message["Body"]))


def texts(message: Any) -> dict[str, str]:
    return {name: attribute["StringValue"] for name, attribute in message.get("MessageAttributes", {}).items()}


def attribute(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


class TestSending:
    def test_a_message_is_processed_in_its_senders_request(self, exported: FakeCollector, sqs: Any, queue: str) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            answer = sqs.send_message(QueueUrl=queue, MessageBody="1")
        (message,) = received(sqs, queue)
        with sqs_sns.processing(message, queue):
            pass

        name = queue.rpartition("/")[2]
        producer, consumer = produced(exported), consumed(exported)
        assert_continues(consumer, producer)
        assert correlation_id_of(consumer) == "r-1"
        assert (producer.name, consumer.name) == (f"send {name}", f"process {name}")
        assert attributes_of(producer.attributes) == {
            "messaging.system": "aws_sqs",
            "messaging.destination.name": name,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.message.id": answer["MessageId"],
            "aws.sqs.queue.url": queue,
            "correlation.id": "r-1",
        }

    def test_each_message_of_a_batch_is_linked_to_its_sending(
        self, exported: FakeCollector, sqs: Any, queue: str
    ) -> None:
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": str(n)} for n in range(3)])
        sqs.send_message(QueueUrl=queue, MessageBody="3")
        messages = received(sqs, queue)
        with sqs_sns.processing_batch(messages, queue):
            pass

        batch, single = spans_of_kind(exported, PRODUCER)
        assert attributes_of(batch.attributes)["messaging.batch.message_count"] == 3
        assert [link.span_id for link in consumed(exported).links] == [batch.span_id] * 3 + [single.span_id]
        assert attributes_of(consumed(exported).attributes)["messaging.batch.message_count"] == 4

    def test_a_services_own_attributes_and_arguments_stay(self, sqs: Any, queue: str) -> None:
        own = {
            "kind": attribute("order"),
            "X-Request-ID": attribute("chosen"),
            "traceparent": attribute(f"00-{'a' * 32}-{'b' * 16}-01"),
            "tracestate": attribute("v=1"),
        }
        entries = [{"Id": "0", "MessageBody": "1", "MessageAttributes": own}]
        before = json.dumps(entries)

        sqs.send_message_batch(QueueUrl=queue, Entries=entries)

        (message,) = received(sqs, queue, MessageAttributeNames=["All"])
        assert json.dumps(entries) == before
        assert texts(message)["kind"] == "order"
        assert texts(message)["X-Request-ID"] == "chosen"
        assert "a" * 32 not in texts(message)["traceparent"]
        assert "tracestate" not in texts(message)

    @pytest.mark.parametrize(
        ("own_count", "ours"),
        [
            (7, {"traceparent", "X-Request-ID", "baggage"}),
            (8, {"traceparent", "X-Request-ID"}),
            (9, {"traceparent"}),
            (10, set()),
        ],
    )
    def test_the_most_important_ids_have_the_room_that_is_left(
        self, sqs: Any, queue: str, own_count: int, ours: set[str]
    ) -> None:
        own = {f"own{number}": attribute("1") for number in range(own_count)}

        sqs.send_message(QueueUrl=queue, MessageBody="1", MessageAttributes=own)

        (message,) = received(sqs, queue, MessageAttributeNames=["All"])
        assert set(texts(message)) == own.keys() | ours

    def test_a_failure_is_recorded_and_raised(self, exported: FakeCollector, sqs: Any, queue: str) -> None:
        with pytest.raises(ClientError) as raised:
            sqs.send_message(QueueUrl=queue + "-gone", MessageBody="1")

        span = produced(exported)
        assert type(raised.value).__name__ == "QueueDoesNotExist"
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"].endswith("QueueDoesNotExist")

    def test_what_was_not_taken_of_a_batch_is_told(self, exported: FakeCollector) -> None:
        client = boto3.client("sqs", **CREDENTIALS)
        refused = {"Id": "0", "SenderFault": True, "Code": "InvalidMessageContents"}
        with Stubber(client) as stub:
            stub.add_response("send_message_batch", {"Successful": [], "Failed": [refused]})
            client.send_message_batch(QueueUrl="http://aws/1/orders", Entries=[{"Id": "0", "MessageBody": "1"}])

        span = produced(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes_of(span.attributes)["error.type"] == "InvalidMessageContents"

    def test_a_message_that_our_attributes_make_too_long_is_sent_without(self, exported: FakeCollector) -> None:
        client = boto3.client("sqs", **CREDENTIALS)
        sent: list[Any] = []

        def answer(params: Any, **_: Any) -> Any:
            sent.append(params["body"])
            refusal = {"Code": "InvalidParameterValue", "Message": "Message must be shorter than 1048576 bytes."}
            parsed: dict[str, Any] = {"MessageId": "m-1"} if len(sent) > 1 else {"Error": refusal}
            return SimpleNamespace(status_code=200 if len(sent) > 1 else 400), {**parsed, "ResponseMetadata": {}}

        client.meta.events.register("before-call.sqs.SendMessage", answer)

        assert client.send_message(QueueUrl="http://aws/1/orders", MessageBody="1")["MessageId"] == "m-1"
        assert [b"traceparent" in body for body in sent] == [True, False]

    def test_a_services_tests_with_a_stub_see_its_own_arguments(self, exported: FakeCollector) -> None:
        client = boto3.client("sqs", **CREDENTIALS)
        arguments = {"QueueUrl": "http://aws/1/orders", "MessageBody": "1"}
        with Stubber(client) as stub:
            stub.add_response("send_message", {"MessageId": "m-1"}, arguments)
            stub.add_response("receive_message", {}, {"QueueUrl": "http://aws/1/orders"})
            client.send_message(**arguments)
            client.receive_message(QueueUrl="http://aws/1/orders")

    def test_there_is_no_second_span_beside_opentelemetrys(self, exported: FakeCollector, sqs: Any, queue: str) -> None:
        tracer = clew.get_tracer("opentelemetry.instrumentation.botocore.sqs")
        with tracer.start_as_current_span("SQS.SendMessage") as theirs:
            sqs.send_message(QueueUrl=queue, MessageBody="1")

        (message,) = received(sqs, queue)
        assert spans_of_kind(exported, PRODUCER) == []
        assert texts(message)["traceparent"].split("-")[2] == f"{theirs.get_span_context().span_id:016x}"

    def test_nothing_is_added_while_clew_is_off(self, exported: FakeCollector, sqs: Any, queue: str) -> None:
        with clew_off():
            sqs.send_message(QueueUrl=queue, MessageBody="1")
            (message,) = received(sqs, queue, MessageAttributeNames=["All"])

        assert texts(message) == {}
        assert spans_of_kind(exported, PRODUCER) == []

    def test_installed_twice_is_installed_once(self, exported: FakeCollector, sqs: Any, queue: str) -> None:
        sqs_sns.install()
        sqs_sns.install()
        sqs.send_message(QueueUrl=queue, MessageBody="1")

        produced(exported)


class TestReceiving:
    def test_the_services_own_attributes_are_received_as_asked_for(self, sqs: Any, queue: str) -> None:
        own = {"wanted": attribute("1"), "other": attribute("2")}
        sqs.send_message(QueueUrl=queue, MessageBody="1", MessageAttributes=own)

        (message,) = received(sqs, queue, MessageAttributeNames=["wanted"])

        assert set(texts(message)) == {"wanted", "traceparent", "X-Request-ID", "baggage"}

    def test_boto3s_resources_are_followed_too(self, aws_url: str, exported: FakeCollector, queue: str) -> None:
        resource: Any = boto3.resource("sqs", endpoint_url=aws_url, **CREDENTIALS)
        resource.Queue(queue).send_message(MessageBody="1")
        (message,) = resource.Queue(queue).receive_messages()
        with sqs_sns.processing(message):
            pass

        assert_continues(consumed(exported), produced(exported))
        assert consumed(exported).name == f"process {queue.rpartition('/')[2]}"

    def test_an_exception_is_recorded_and_raised(self, exported: FakeCollector, sqs: Any, queue: str) -> None:
        sqs.send_message(QueueUrl=queue, MessageBody="1")
        (message,) = received(sqs, queue)

        with pytest.raises(ValueError, match="bad order"), sqs_sns.processing(message, queue):
            raise ValueError("bad order")

        assert attributes_of(consumed(exported).attributes)["error.type"] == "ValueError"

    def test_a_sender_that_is_not_trusted_is_only_linked_to(
        self, exported: FakeCollector, sqs: Any, queue: str
    ) -> None:
        sqs.send_message(QueueUrl=queue, MessageBody="1")
        (message,) = received(sqs, queue)
        clew.configure(service="orders", endpoint=exported.url, trust_incoming=False)
        with sqs_sns.processing(message, queue):
            pass

        consumer, producer = consumed(exported), produced(exported)
        assert consumer.trace_id != producer.trace_id
        assert [link.span_id for link in consumer.links] == [producer.span_id]

    @pytest.mark.parametrize(
        "message",
        [
            None,
            "text",
            17,
            {},
            {"MessageAttributes": None, "Body": None, "Attributes": 3},
            {"MessageAttributes": {"traceparent": "00-x", "X-Request-ID": {"StringValue": 3}, 5: {"StringValue": "5"}}},
            {"Body": '{"Type": "Notification"'},
            {"Body": '["Notification"]'},
            {"Body": "[" * 100_000 + '"Notification"'},
            {"Sns": "none", "eventSourceARN": 3},
            {"Attributes": {"AWSTraceHeader": "nonsense", "ApproximateReceiveCount": "many"}},
        ],
    )
    def test_a_message_of_any_shape_is_processed(self, exported: FakeCollector, message: Any) -> None:
        with sqs_sns.processing(message, "orders"), sqs_sns.processing_batch([message], "orders"):
            pass

        assert len(spans_of_kind(exported, CONSUMER)) == 2


class TestTopics:
    @pytest.fixture(params=[False, True], ids=["wrapped", "raw"])
    def topic(self, request: pytest.FixtureRequest, sqs: Any, sns: Any, queue: str) -> str:
        """A topic whose messages come into the queue."""
        topic = sns.create_topic(Name=a_queue_name("topic"))["TopicArn"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        raw = {"RawMessageDelivery": "true" if request.param else "false"}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
        return str(topic)

    def test_what_was_published_is_processed_in_its_senders_request(
        self, exported: FakeCollector, sqs: Any, sns: Any, queue: str, topic: str
    ) -> None:
        with clew.request("checkout", correlation_id="r-1"):
            sns.publish(TopicArn=topic, Message="1")
        (message,) = received(sqs, queue)
        with sqs_sns.processing(message, queue):
            pass

        producer = produced(exported)
        assert_continues(consumed(exported), producer)
        assert correlation_id_of(consumed(exported)) == "r-1"
        assert producer.name == f"publish {topic.rpartition(':')[2]}"
        assert attributes_of(producer.attributes)["messaging.system"] == "aws.sns"
        assert attributes_of(producer.attributes)["aws.sns.topic.arn"] == topic

    def test_each_message_of_a_batch_carries_the_ids(
        self, exported: FakeCollector, sqs: Any, sns: Any, queue: str, topic: str
    ) -> None:
        entries = [{"Id": str(number), "Message": str(number)} for number in range(2)]
        sns.publish_batch(TopicArn=topic, PublishBatchRequestEntries=entries)
        with sqs_sns.processing_batch(received(sqs, queue), queue):
            pass

        producer = produced(exported)
        assert [link.span_id for link in consumed(exported).links] == [producer.span_id] * 2


def test_a_telephone_number_is_told_to_nobody(exported: FakeCollector, sns: Any) -> None:
    sns.publish(PhoneNumber="+491701234567", Message="your order")

    span = produced(exported)
    assert span.name == "publish phone_number"
    assert "491701234567" not in str(span)


def test_other_services_and_clients_are_left_alone(exported: FakeCollector, aws_url: str) -> None:
    client = botocore.session.get_session().create_client("s3", endpoint_url=aws_url, **CREDENTIALS)
    client.list_buckets()

    assert spans_of_kind(exported, PRODUCER) == []
