"""Secrets, and what only looks like them; what leaves the process, and what the service keeps."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.trace import SpanContext, TraceFlags

import clew
from clew.freezing import freeze
from clew.redaction import REDACTED, Redactor, redact_query
from clew.redaction.keys import SecretKeys
from clew.runtime import RUNTIME
from clew.settings import Settings
from tests.instrumentation.fake_collector import FakeCollector, attributes_of, value_of

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N"
CARD = "4111111111111111"
PRIVATE_KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"

# fmt: off
HOSTILE = [
    "eyJ", "eyJaaaaa.", "4", "4 ", "4111 ", "4111-", "password=", 'password="', 'password="\\', "password=\\", "://",
    "://a:", "://a:b@", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "Bearer ", "Basic a", "authorization:", "=:",
    "\"'", "a", " ", "token", "AKIA", "password%3D", "cookie:\t", 'password\\\\"  : ', "\u0661", "\ud800",
]
# fmt: on


@pytest.fixture(autouse=True)
def _default_settings() -> Iterator[None]:
    RUNTIME.go_by(Settings(), sampler=None, excluded=None)
    yield
    RUNTIME.go_by(Settings(), sampler=None, excluded=None)


def redacted(text: str, **settings: Any) -> str:
    return Redactor(Settings(**settings)).text(text)


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "password",
            "PASSWORD",
            "user_password",
            "userPassword",
            "db.password",
            "http.request.header.authorization",
            "Proxy-Authorization",
            "set-cookie",
            "Cookie",
            "X-Api-Key",
            "apikey",
            "APIKey",
            "stripe_api_key",
            "access_token",
            "refreshToken",
            "accesstoken",
            "client_secret",
            "pwd",
            "passwd",
            "private-key",
            "aws_secret_access_key",
            "credit_card",
            "cardNumber",
            "cvv",
            "ssn",
            "session",
            "sessionid",
            "session_id",
        ],
    )
    def test_secret_names_are_known_in_every_spelling(self, name: str) -> None:
        assert SecretKeys().has(name)

    @pytest.mark.parametrize(
        "name",
        [
            "token_count",
            "max_tokens",
            "gen_ai.usage.input_tokens",
            "next_page_token",
            "password_changed_at",
            "author",
            "authority",
            "cookie_consent",
            "session.id",
            "db_session",
            "key",
            "keyboard",
            "secretary",
            "card_type",
            "",
            ".",
            "trace_id",
            "monkey",
        ],
    )
    def test_names_that_only_look_secret_are_not(self, name: str) -> None:
        assert not SecretKeys().has(name)

    def test_names_of_the_settings_are_added(self) -> None:
        keys = SecretKeys(["IBAN", "customer.mail"])

        assert keys.has("iban")
        assert keys.has("customer_iban")
        assert keys.has("Customer.Mail")
        assert keys.has("password")
        assert not keys.has("gmail_x")

    @pytest.mark.parametrize("name", [1, None, ("password",), b"password", ["unhashable"]])
    def test_names_that_are_no_text_are_no_secrets(self, name: object) -> None:
        assert not SecretKeys().has(name)

    def test_long_names_go_by_their_end(self) -> None:
        assert SecretKeys().has("x" * 10_000 + ".password")


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            (f"paid with {CARD}.", "paid with REDACTED."),
            ("card 4111 1111 1111 1111 12/27 ok", "card REDACTED 12/27 ok"),
            ("card 4111-1111-1111-1111", "card REDACTED"),
            ("amex 3782 822463 10005", "amex REDACTED"),
            ("13 digits: 4222222222222", "13 digits: REDACTED"),
            ("Authorization: Bearer abcdef", "Authorization: REDACTED"),
            ("sent Bearer abc.def-123", "sent Bearer REDACTED"),
            ("sent Basic dXNlcjpwYXNz", "sent Basic REDACTED"),
            (f"jwt {JWT} expired", "jwt REDACTED expired"),
            ("AKIAIOSFODNN7EXAMPLE", REDACTED),
            ("aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "aws_secret_access_key=REDACTED"),
            (f"key: {PRIVATE_KEY} end", "key: REDACTED end"),
            ("-----BEGIN PRIVATE KEY-----\ncut off", REDACTED),
            ("postgresql://app:p@ss:w@db:5432/x", "postgresql://REDACTED:REDACTED@db:5432/x"),
            ("redis://:pw@cache/0", "redis://REDACTED:REDACTED@cache/0"),
            ("/login?user=a&password=b&x=1", "/login?user=a&password=REDACTED&x=1"),
            ("host=db password=pw dbname=x", "host=db password=REDACTED dbname=x"),
            ("Server=x;Uid=y;Pwd=z;Port=1", "Server=x;Uid=y;Pwd=REDACTED;Port=1"),
            ('{"password": "a\\"b", "n": 1}', '{"password": "REDACTED", "n": 1}'),
            ("{'api_key': 'x', 'n': 1}", "{'api_key': 'REDACTED', 'n': 1}"),
            ('"{\\"token\\": \\"abc\\"}"', '"{\\"token\\": \\"REDACTED\\"}"'),
            ("next=%2Flogin%3Fpassword%3Dabc&x=1", "next=%2Flogin%3Fpassword%3DREDACTED&x=1"),
            ("Cookie: a=b; c=d\nHost: x", "Cookie: REDACTED\nHost: x"),
        ],
    )
    def test_secrets_are_found_in_text(self, text: str, shown: str) -> None:
        assert redacted(text) == shown

    @pytest.mark.parametrize(
        "text",
        [
            "4111111111111112",
            "1790000000000000000",
            "1790000000000",
            f"9{CARD}",
            f"{CARD}1234",
            f"a{CARD}",
            "4111-1111-1111-1111-4111-1111-1111-1111",
            "12345678-1234-4123-8123-123456789012",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "2026-11-21 11:18:06.123456",
            "\u0664\u0661\u0661\u0661" * 4,
            "the bearer token expired",
            "Basic authentication is required",
            "next_page_token=abc token_count=5 design=6 max_tokens=7 author=me",
            "if token == other:",
            "password=None",
            '"token": null',
            "see http://a:80/x or mail me@example.org",
            "eyJust a word.",
            "",
        ],
    )
    def test_what_only_looks_like_one_stays(self, text: str) -> None:
        assert redacted(text) is text

    def test_patterns_of_the_settings_are_added(self) -> None:
        assert redacted("order C-1234 of x", redact_patterns=(r"C-\d{4}",)) == "order REDACTED of x"
        assert redacted("iban=DE02 x", redact_keys=("iban",)) == "iban=REDACTED x"

    def test_it_can_be_switched_off(self) -> None:
        off = Redactor(Settings(redact=False))

        assert off.text(CARD) == CARD
        assert off.field("password", "x") == "x"
        assert off.value((CARD, {"password": "x"})) == (CARD, {"password": "x"})

    @pytest.mark.parametrize("piece", HOSTILE)
    def test_hostile_texts_take_no_longer_than_their_length(self, piece: str) -> None:
        redactor = Redactor(Settings())

        start_s = time.thread_time()
        for tail in ("", "=", "@", ":"):
            redactor.text((piece * 65_536)[:65_536] + tail)

        # A pattern that backtracks would take minutes; that of this thread alone, whatever else the machine does.
        assert time.thread_time() - start_s < 15


class TestValues:
    def test_nested_values_are_followed(self) -> None:
        value = freeze({"user": {"password": "x", "n": 1}, "cards": [CARD, {"cvv": 123}], "raw": CARD.encode()})

        shown = Redactor(Settings()).value(value)

        assert shown == {
            "user": {"password": REDACTED, "n": 1},
            "cards": (REDACTED, {"cvv": REDACTED}),
            "raw": REDACTED.encode(),
        }

    @pytest.mark.parametrize(("value", "shown"), [("", REDACTED), (5, REDACTED), (("a",), REDACTED), (b"x", REDACTED)])
    def test_whatever_has_a_secret_name_is_taken_out(self, value: Any, shown: Any) -> None:
        assert Redactor(Settings()).field("password", value) == shown

    @pytest.mark.parametrize("value", [True, False, None])
    def test_whether_there_is_one_is_no_secret(self, value: Any) -> None:
        assert Redactor(Settings()).field("has_password", value) is value

    def test_bytes_that_are_no_text_stay(self) -> None:
        raw = bytes(range(256))

        assert Redactor(Settings()).value(raw) is raw

    def test_signatures_in_queries_are_taken_out_unless_switched_off(self) -> None:
        assert redact_query("a=1&X-Amz-Signature=x&sig=y") == "a=1&X-Amz-Signature=REDACTED&sig=REDACTED"
        RUNTIME.go_by(Settings(redact=False), sampler=None, excluded=None)
        assert redact_query("sig=y") == "sig=y"


class Secretive(str):
    """A text with methods of its own."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class TestExported:
    def test_spans_leave_without_secrets(self, exported: FakeCollector) -> None:
        linked = SpanContext(1, 2, True, TraceFlags(1))
        with clew.get_tracer("t").start_as_current_span("work") as span:
            span.set_attributes({"password": "x", "note": f"card {CARD}", "n": 3, "list": ["a", CARD]})
            span.set_attribute("text", Secretive(JWT))
            span.add_event("called", {"url": "https://u:p@host/", "long": "x" * 100 + f" {JWT}"})
            span.add_link(linked, {"api_key": "k"})
        with pytest.raises(ValueError, match="hunter2"), clew.get_tracer("t").start_as_current_span("failing"):
            raise ValueError("password=hunter2")

        assert clew.flush()
        work, failing = exported.spans
        assert attributes_of(work.attributes) | {"correlation.id": ""} == {
            "password": REDACTED,
            "note": "card REDACTED",
            "n": 3,
            "list": ["a", REDACTED],
            "text": REDACTED,
            "correlation.id": "",
        }
        assert attributes_of(work.events[0].attributes) == {
            "url": "https://REDACTED:REDACTED@host/",
            "long": "x" * 100 + " REDACTED",
        }
        assert attributes_of(work.links[0].attributes) == {"api_key": REDACTED}
        assert failing.status.message == "ValueError: password=REDACTED"
        described = attributes_of(failing.events[0].attributes)
        assert described["exception.message"] == "password=REDACTED"
        assert "hunter2" not in described["exception.stacktrace"]

    def test_logs_leave_without_secrets_and_the_service_keeps_its_values(
        self, exported: FakeCollector, capsys: pytest.CaptureFixture[str]
    ) -> None:
        user = {"name": "bob", "password": "hunter2", 5: "five"}

        structlog.get_logger().info(f"paid by {CARD}", user=user, token="abc")

        assert clew.flush()
        (log,) = exported.logs
        assert value_of(log.body) == "paid by REDACTED"
        assert attributes_of(log.attributes) == {
            "user": {"name": "bob", "password": REDACTED, "5": "five"},
            "token": REDACTED,
        }
        assert user == {"name": "bob", "password": "hunter2", 5: "five"}
        written = capsys.readouterr().err
        assert "paid by REDACTED" in written
        assert "hunter2" not in written
        assert "abc" not in written

    def test_cyclic_values_are_followed_as_far_as_they_are_kept(self, exported: FakeCollector) -> None:
        cycle: dict[str, Any] = {"password": "hunter2"}
        cycle["self"] = cycle

        structlog.get_logger().info("x", cycle=cycle)

        assert clew.flush()
        assert "hunter2" not in str(exported.logs[0])

    def test_other_settings_count_from_then_on(self, collector: FakeCollector) -> None:
        def attribute() -> Any:
            with clew.get_tracer("t").start_as_current_span("work") as span:
                span.set_attribute("customer", "C-1")
                span.set_attribute("password", "x")
            assert clew.flush()
            found = attributes_of(collector.spans[-1].attributes)
            return found["customer"], found["password"]

        clew.configure(service="a", endpoint=collector.url)
        before = attribute()
        clew.configure(service="a", endpoint=collector.url, redact_keys=["customer"])
        added = attribute()
        clew.configure(service="a", endpoint=collector.url, redact=False)
        off = attribute()

        assert before == ("C-1", REDACTED)
        assert added == (REDACTED, REDACTED)
        assert off == ("C-1", "x")
