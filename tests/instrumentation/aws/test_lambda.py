import json
import logging
import time
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

import clew
from clew.frameworks.aws_lambda import lambda_handler
from tests.instrumentation.fake_collector import FakeCollector, Reply, attributes_of
from tests.instrumentation.messaging.observed import clew_off

TRACE, PARENT = "a" * 32, "b" * 16
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
SENT = {"traceparent": TRACEPARENT, "X-Request-ID": "r-1", "Host": "shop.example"}
ARN = "arn:aws:lambda:eu-central-1:123456789012:function:orders"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT}"


def a_context(**more: Any) -> Any:
    """What Lambda hands to a handler."""
    given = {
        "function_name": "orders",
        "aws_request_id": "8476a536",
        "invoked_function_arn": f"{ARN}:live",
        "client_context": None,
        "get_remaining_time_in_millis": lambda: 3_000,
    }
    return SimpleNamespace(**{**given, **more})


def v1(headers: Mapping[str, str] = SENT) -> dict[str, Any]:
    """A REST API's event."""
    return {
        "resource": "/orders/{id}",
        "path": "/orders/7",
        "httpMethod": "GET",
        "headers": dict(headers),
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"token": "secret", "page": "2"},
        "requestContext": {"identity": {"sourceIp": "192.0.2.1"}, "protocol": "HTTP/1.1", "requestId": "api-1"},
        "body": None,
    }


def v2(headers: Mapping[str, str] = SENT) -> dict[str, Any]:
    """An HTTP API's event, or that of a function's own URL."""
    return {
        "version": "2.0",
        "routeKey": "GET /orders/{id}",
        "rawPath": "/orders/7",
        "rawQueryString": "token=secret&page=2",
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {
            "http": {"method": "GET", "path": "/orders/7", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
            "requestId": "api-1",
        },
    }


def alb(headers: Mapping[str, str] = SENT) -> dict[str, Any]:
    """A load balancer's event, with its multi-value headers switched on."""
    many = {name.lower(): [value] for name, value in headers.items()}
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/t/1"}},
        "httpMethod": "GET",
        "path": "/orders/7",
        "multiValueQueryStringParameters": {"token": ["secret"], "page": ["2"]},
        "multiValueHeaders": {**many, "x-forwarded-for": ["192.0.2.1, 10.0.0.1"]},
    }


def sqs(*traceparents: str) -> dict[str, Any]:
    records = [
        {
            "messageId": f"m-{number}",
            "body": "1",
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {
                "traceparent": {"stringValue": traceparent, "dataType": "String", "binaryListValues": []},
                "X-Request-ID": {"stringValue": "r-1", "dataType": "String"},
            },
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:incoming",
        }
        for number, traceparent in enumerate(traceparents)
    ]
    return {"Records": records}


def sns() -> dict[str, Any]:
    return {
        "Records": [
            {
                "EventSource": "aws:sns",
                "Sns": {
                    "MessageId": "m-0",
                    "TopicArn": "arn:aws:sns:eu-central-1:123456789012:placed",
                    "Message": "1",
                    "MessageAttributes": {"traceparent": {"Type": "String", "Value": TRACEPARENT}},
                },
            }
        ]
    }


def the_span(collector: FakeCollector) -> tuple[Span, dict[str, Any]]:
    """The one span; nobody flushes but the handler."""
    (span,) = collector.spans
    return span, attributes_of(span.attributes)


@lambda_handler
def ok(event: Any, context: Any) -> Any:
    return {"statusCode": 200, "headers": {"content-type": "text/plain"}, "body": clew.correlation_id()}


each_http = pytest.mark.parametrize("event", [v1, v2, alb], ids=["v1", "v2", "alb"])


class TestHttp:
    @each_http
    def test_it_continues_its_callers_request(
        self, exported: FakeCollector, event: Callable[..., dict[str, Any]]
    ) -> None:
        response = ok(event(), a_context())

        span, attributes = the_span(exported)
        assert response["body"] == "r-1"
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.kind) == (TRACE, PARENT, Span.SPAN_KIND_SERVER)
        expected = {
            "faas.invocation_id": "8476a536",
            "faas.trigger": "http",
            "cloud.resource_id": ARN,
            "cloud.account.id": "123456789012",
            "aws.lambda.invoked_arn": f"{ARN}:live",
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "url.path": "/orders/7",
            "url.scheme": "https",
            "server.address": "shop.example",
            "client.address": "192.0.2.1",
            "correlation.id": "r-1",
        }
        assert {name: attributes.get(name) for name in expected} == expected
        assert "secret" not in attributes["url.query"]
        assert span.name == ("GET" if event is alb else "GET /orders/{id}")

    @pytest.mark.parametrize(("event", "key"), [(v1, "headers"), (v2, "headers"), (alb, "multiValueHeaders")])
    def test_the_response_carries_the_id(
        self, exported: FakeCollector, event: Callable[..., dict[str, Any]], key: str
    ) -> None:
        own: dict[str, Any] = {"statusCode": "404", "body": "no such order"}

        response = lambda_handler(lambda event, context: own)(event(), a_context())

        expected = ["r-1"] if key == "multiValueHeaders" else "r-1"
        assert response == {**own, key: {"X-Request-ID": expected}}
        assert own.keys() == {"statusCode", "body"}
        assert the_span(exported)[1]["http.response.status_code"] == 404

    def test_the_responses_own_headers_stay_but_for_another_id(self, exported: FakeCollector) -> None:
        own = {"statusCode": 200, "headers": {"x-request-id": "other", "ETag": "1"}}

        response = lambda_handler(lambda event, context: own)(v2(), a_context())

        assert response["headers"] == {"ETag": "1", "X-Request-ID": "r-1"}

    @pytest.mark.parametrize("own", ["text", None, ["a"], {"id": 7}, {"statusCode": 200, "headers": 5}, 17])
    def test_a_response_of_another_shape_is_left_alone(self, exported: FakeCollector, own: Any) -> None:
        assert lambda_handler(lambda event, context: own)(v2(), a_context()) is own

    def test_a_server_error_is_the_spans(self, exported: FakeCollector) -> None:
        lambda_handler(lambda event, context: {"statusCode": 503})(v2(), a_context())

        span, attributes = the_span(exported)
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert attributes["error.type"] == "503"

    def test_excluded_paths_make_no_span(self, exported: FakeCollector) -> None:
        clew.configure(service="orders", endpoint=exported.url, excluded_urls=["^/orders/"])

        response = ok(v2(), a_context())

        assert response["headers"]["X-Request-ID"] == "r-1"
        assert exported.spans == []

    def test_an_id_is_made_for_a_caller_without(self, exported: FakeCollector) -> None:
        response = ok(v2({}), a_context())

        assert response["headers"]["X-Request-ID"] == the_span(exported)[1]["correlation.id"] != "api-1"

    def test_a_load_balancers_trace_is_continued(self, exported: FakeCollector) -> None:
        ok(v2({"X-Amzn-Trace-Id": XRAY.partition(";")[0]}), a_context())

        assert the_span(exported)[0].trace_id.hex() == TRACE


class TestMessages:
    def test_one_of_sqs_is_processed_in_its_senders_request(self, exported: FakeCollector) -> None:
        ok(sqs(TRACEPARENT), a_context())

        span, attributes = the_span(exported)
        assert (span.name, span.kind) == ("process incoming", Span.SPAN_KIND_CONSUMER)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert [link.span_id.hex() for link in span.links] == [PARENT]
        assert attributes["correlation.id"] == "r-1"
        assert attributes["messaging.system"] == "aws_sqs"
        assert attributes["faas.trigger"] == "pubsub"

    def test_many_of_sqs_are_linked_to(self, exported: FakeCollector) -> None:
        senders = [f"00-{TRACE}-{number:016x}-01" for number in (1, 2, 3)]
        ok(sqs(*senders, "nonsense"), a_context())

        span, attributes = the_span(exported)
        assert not span.parent_span_id
        assert [int(link.span_id.hex(), 16) for link in span.links] == [1, 2, 3]
        assert attributes["messaging.batch.message_count"] == 4

    def test_one_of_sns_is_processed_in_its_senders_request(self, exported: FakeCollector) -> None:
        ok(sns(), a_context())

        span, attributes = the_span(exported)
        assert (span.name, span.trace_id.hex()) == ("process placed", TRACE)
        assert attributes["messaging.system"] == "aws.sns"


class TestOtherEvents:
    def test_xrays_trace_is_continued(self, exported: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"{XRAY};Sampled=1")

        ok({}, a_context())

        span, attributes = the_span(exported)
        assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("orders", TRACE, PARENT)
        assert attributes["faas.trigger"] == "other"

    def test_what_xray_has_not_sampled_is_traced_nevertheless(
        self, exported: FakeCollector, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"{XRAY};Sampled=0")

        ok({}, a_context())

        assert the_span(exported)[0].trace_id.hex() != TRACE

    def test_a_callers_trace_wins_over_xrays(self, exported: FakeCollector, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"Root=1-{'c' * 8}-{'c' * 24};Parent={'d' * 16};Sampled=1")

        ok(v2(), a_context())

        assert the_span(exported)[0].trace_id.hex() == TRACE

    def test_a_timer_is_told_from_others(self, exported: FakeCollector) -> None:
        ok({"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}, a_context())

        assert the_span(exported)[1]["faas.trigger"] == "timer"

    def test_a_clients_context_is_continued(self, exported: FakeCollector) -> None:
        ok({}, a_context(client_context=SimpleNamespace(custom=SENT)))

        assert the_span(exported)[0].trace_id.hex() == TRACE

    @pytest.mark.parametrize(
        "event",
        [
            None,
            [],
            "text",
            17,
            {"Records": None},
            {"Records": []},
            {"Records": ["text", None]},
            {"Records": [{"eventSource": "aws:sqs"}]},
            {"Records": [{"eventSource": "aws:sqs", "messageAttributes": [1], "eventSourceARN": 5}, None]},
            {"Records": [{"EventSource": "aws:sns", "Sns": "text"}]},
            {"Records": [{"eventSource": ["aws:s3"]}]},
            {"httpMethod": "GET"},
            {"httpMethod": "GET", "headers": None, "multiValueHeaders": {"a": "b", "c": [None]}, "path": 5},
            {"httpMethod": "GET", "headers": {"traceparent": "nonsense", "X-Request-ID": "a b", "baggage": 3}},
            {"httpMethod": "GET", "headers": {"a": "\ud800"}, "rawQueryString": "\ud800", "path": "/\ud800"},
            {"httpMethod": "\u00e9" * 5_000, "queryStringParameters": {"a": {"b": [1]}, "c": None}},
            {"requestContext": {"http": "GET"}, "headers": [1, 2]},
            {"requestContext": {"http": {"method": "GET"}}, "routeKey": None},
        ],
    )
    def test_one_of_any_shape_reaches_the_handler(self, exported: FakeCollector, event: Any) -> None:
        seen: list[Any] = []

        lambda_handler(lambda event, context: seen.append(event))(event, None)

        assert len(seen) == 1
        assert seen[0] is event
        assert len(exported.spans) == 1


class TestFailures:
    @pytest.mark.parametrize("event", [{}, v2(), sqs(TRACEPARENT)], ids=["other", "http", "sqs"])
    def test_they_are_recorded_sent_and_raised(self, exported: FakeCollector, event: Any) -> None:
        error = ValueError("bad order")

        @lambda_handler
        def fail(event: Any, context: Any) -> None:
            logging.getLogger("orders").error("failing")
            raise error

        with pytest.raises(ValueError, match="bad order") as raised:
            fail(event, a_context())

        span, attributes = the_span(exported)
        assert raised.value is error
        assert attributes["error.type"] == "ValueError"
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert [event.name for event in span.events] == ["exception"]
        assert [log.span_id for log in exported.logs] == [span.span_id]

    def test_a_collector_that_hangs_costs_no_more_than_allowed(self, exported: FakeCollector) -> None:
        exported.replies.append(Reply(None))
        begin_s = time.monotonic()

        response = lambda_handler(flush_timeout_s=0.2)(lambda event, context: "done")({}, a_context())

        assert response == "done"
        assert time.monotonic() - begin_s < 5

    def test_an_invocation_out_of_time_does_not_wait(self, exported: FakeCollector) -> None:
        exported.replies.append(Reply(None))
        begin_s = time.monotonic()

        lambda_handler(flush_timeout_s=30)(lambda event, context: None)(
            {}, a_context(get_remaining_time_in_millis=lambda: 150)
        )

        assert time.monotonic() - begin_s < 5


class TestHandler:
    def test_only_its_first_invocation_is_cold(self, exported: FakeCollector) -> None:
        handler = lambda_handler(lambda event, context: None)
        handler({}, a_context())
        handler({}, a_context())

        assert [attributes_of(span.attributes)["faas.coldstart"] for span in exported.spans] == [True, False]

    def test_its_name_and_arguments_stay(self, exported: FakeCollector) -> None:
        def handle_orders(event: Any, context: Any) -> Any:
            """Handles."""
            return event, context

        wrapped = lambda_handler(handle_orders)
        event, context = {"a": 1}, a_context()

        assert (wrapped.__name__, wrapped.__doc__) == ("handle_orders", "Handles.")
        assert wrapped(event, context) == (event, context)

    def test_nothing_happens_while_clew_is_off(self, exported: FakeCollector) -> None:
        with clew_off():
            response = ok(v2(), a_context())

        assert "X-Request-ID" not in response["headers"]
        assert exported.spans == []

    def test_its_response_can_still_be_written_as_json(self, exported: FakeCollector) -> None:
        assert json.loads(json.dumps(ok(v1(), a_context())))["headers"]["X-Request-ID"] == "r-1"
