import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from clew_demo.faults.switchboard import Switchboard
from tests.demo_services.neighbours.processes import CALLER, SPAN_ID, TRACE_ID, RunningService, running_service
from tests.demo_services.otlp_sink import OtlpSink
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("callers_have_no_clew")


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OtlpSink]:
    """What a collector has got about one request when the service has ended."""
    with OtlpSink() as sink:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint}
        with running_service("recommendations", tmp_path_factory.mktemp("reported"), env=env) as service:
            service.get("/recommendations/moka-pot")
            service.stop()
        yield sink


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    with running_service("recommendations", tmp_path_factory.mktemp("recommendations")) as service:
        yield service


def test_the_request_goes_on_in_the_callers_trace(reported: OtlpSink) -> None:
    server, rank = sorted(reported.spans, key=lambda span: span.parent_span_id != SPAN_ID)

    assert server.name == "GET /recommendations/{product_id}"
    assert (server.trace_id, server.parent_span_id) == (TRACE_ID, SPAN_ID)
    assert (rank.name, rank.trace_id, rank.parent_span_id) == ("rank neighbours", TRACE_ID, server.span_id)
    assert {span.service for span in reported.spans} == {"recommendations"}


def test_the_callers_baggage_is_on_each_span(reported: OtlpSink) -> None:
    assert [span.correlation_id for span in reported.spans] == [CALLER["X-Request-ID"]] * 2


def test_a_log_line_has_the_ids_of_its_span(reported: OtlpSink) -> None:
    server = next(span for span in reported.spans if span.parent_span_id == SPAN_ID)

    line = next(log for log in reported.logs if log.name == "products recommended")

    assert (line.trace_id, line.span_id) == (TRACE_ID, server.span_id)
    assert line.attributes["product_id"] == "moka-pot"


def test_a_product_goes_well_with_its_nearest_by_price(service: RunningService) -> None:
    products = service.get("/recommendations/tea-earl-grey").json()["products"]

    assert products == ["tea-rooibos", "tea-sencha", "teapot-iron"]


def test_an_unknown_product_is_not_found(service: RunningService) -> None:
    assert service.get("/recommendations/unicorn").status_code == 404


@pytest.mark.parametrize("planted", [True, False])
def test_breaker_open_makes_callers_time_out(service: RunningService, planted: bool) -> None:
    faults = Switchboard(service.data)
    if planted:
        faults.plant("breaker-open")
        try:
            wait_until(lambda: times_out(service))
        finally:
            faults.lift_all()

    wait_until(lambda: not times_out(service))


def test_a_collector_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        with running_service("recommendations", tmp_path, env=env) as service:
            service.get("/recommendations/moka-pot")

            assert service.stop() < 3


def times_out(service: RunningService) -> bool:
    try:
        service.get("/recommendations/moka-pot", timeout_s=1)
    except httpx.ReadTimeout:
        return True
    return False
