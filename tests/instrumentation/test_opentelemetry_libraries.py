"""Libraries that OpenTelemetry's packages instrument: their spans are part of the request's trace."""

from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.scripts import run_script

SQL = """
import sys
import clew
{before}
clew.configure("orders", endpoint=sys.argv[1], log_format="none", disabled_instrumentations=[{disabled}]{settings})
import sqlalchemy
with clew.request("report", correlation_id="abc-1"):
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
assert clew.flush()
"""


def sql(collector: FakeCollector, *, before: str = "", settings: str = "", disabled: str = "'sqlite3'") -> str:
    return run_script(SQL.format(before=before, settings=settings, disabled=disabled), collector.url).stderr


def scopes_of(collector: FakeCollector) -> set[str]:
    return {
        scope.scope.name
        for request in collector.trace_requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
    }


def test_an_installed_package_is_switched_on_and_its_spans_join_the_request(collector: FakeCollector) -> None:
    sql(collector)

    (report,) = [span for span in collector.spans if span.name == "report"]
    (select,) = [span for span in collector.spans if span.name.startswith("select")]
    assert select.trace_id == report.trace_id
    assert select.parent_span_id == report.span_id
    assert attributes_of(select.attributes)["correlation.id"] == "abc-1"
    assert "opentelemetry.instrumentation.sqlalchemy" in scopes_of(collector)


def test_a_library_that_was_imported_before_is_instrumented_too(collector: FakeCollector) -> None:
    sql(collector, before="import sqlalchemy")

    assert "opentelemetry.instrumentation.sqlalchemy" in scopes_of(collector)


def test_the_settings_limit_what_is_switched_on(collector: FakeCollector) -> None:
    sql(collector, settings=", instrumentations=['redis', 'httpx']")

    assert scopes_of(collector) == {"clew"}


def test_the_settings_forbid_one(collector: FakeCollector) -> None:
    sql(collector, disabled="'sqlalchemy'")

    assert "opentelemetry.instrumentation.sqlalchemy" not in scopes_of(collector)


def test_none_switches_nothing_on(collector: FakeCollector) -> None:
    sql(collector, settings=", instrumentations=['none']")

    assert scopes_of(collector) == {"clew"}


def test_one_that_the_service_has_switched_on_itself_is_left_alone(collector: FakeCollector) -> None:
    told = sql(
        collector,
        before="from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor\n"
        "SQLAlchemyInstrumentor().instrument()",
    )

    assert len([span for span in collector.spans if span.name.startswith("select")]) == 1
    assert "already instrumented" not in told


def test_one_that_fails_is_named_and_the_service_goes_on(collector: FakeCollector) -> None:
    told = sql(
        collector,
        before="import opentelemetry.instrumentation.sqlalchemy as package\n"
        "def fail(self, **given): raise RuntimeError('wrong version')\n"
        "package.SQLAlchemyInstrumentor._instrument = fail",
    )

    assert "OpenTelemetry's instrumentation of sqlalchemy cannot be used: RuntimeError: wrong version" in told
    assert "report" in {span.name for span in collector.spans}


def test_a_real_redis_is_asked_within_the_request(collector: FakeCollector, redis_url: str) -> None:
    run_script(
        """
        import sys
        import clew
        clew.configure("orders", endpoint=sys.argv[1], log_format="none")
        import redis
        with clew.request("report"):
            redis.Redis.from_url(sys.argv[2]).set("a", 1)
        assert clew.flush()
        """,
        collector.url,
        redis_url,
    )

    (report,) = [span for span in collector.spans if span.name == "report"]
    (asked,) = [span for span in collector.spans if span.name == "SET"]
    assert asked.parent_span_id == report.span_id


def test_what_kombu_asks_of_redis_by_itself_makes_no_spans(collector: FakeCollector, redis_url: str) -> None:
    told = run_script(
        """
        import sys
        import clew
        clew.configure("orders", endpoint=sys.argv[1], log_format="none")
        import kombu
        with kombu.Connection(sys.argv[2]) as connection:
            # The Redis client is made here, before anything of kombu's that sends is imported.
            connection.default_channel.client.ping()
            with clew.request("report"):
                connection.Producer().publish({}, routing_key="quiet", declare=[kombu.Queue("quiet")])
        assert clew.flush()
        """,
        collector.url,
        redis_url,
    )

    assert {span.name for span in collector.spans} == {"report", "publish quiet"}
    assert told.stderr == ""
