import asyncio
from typing import Any

import falcon
import pytest
from fastapi import FastAPI
from flask import Flask
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

import clew
from clew.frameworks.asgi import ClewMiddleware
from clew.frameworks.wsgi import ClewWSGIMiddleware
from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.frameworks import django_site
from tests.instrumentation.frameworks.asgi_apps import get
from tests.instrumentation.frameworks.asking import ask_wsgi, server_span
from tests.instrumentation.frameworks.shops import SHOPS, Shop, work
from tests.instrumentation.scripts import run_script


@pytest.mark.parametrize("shop", [shop for shop in SHOPS if "django" not in shop.name], ids=lambda shop: shop.name)
def test_an_app_is_instrumented_in_place(shop: Shop) -> None:
    app = shop.make()

    assert clew.instrument(app) is app


def test_djangos_applications_come_back_wrapped() -> None:
    assert type(clew.instrument(django_site.wsgi())) is ClewWSGIMiddleware
    assert type(clew.instrument(django_site.asgi())) is ClewMiddleware


@pytest.mark.parametrize("app", [object(), print, None, Flask], ids=["object", "function", "none", "class"])
def test_what_is_no_app_is_refused_with_what_to_do(app: Any) -> None:
    with pytest.raises(TypeError, match=r"wrap others in clew.ClewMiddleware \(ASGI\) or clew.ClewWSGIMiddleware"):
        clew.instrument(app)


def test_configuration_has_it_too() -> None:
    from clew import configuration

    assert configuration.instrument is clew.instrument


def test_falcon_apps_get_routes_and_middleware_later(exported: FakeCollector) -> None:
    class Resource:
        def on_get(self, req: Any, resp: Any, id: str) -> None:
            resp.text = work("later")

    app = clew.instrument(falcon.App())
    app.add_route("/later/{id}", Resource())

    assert ask_wsgi(app, "/later/1").body == b"later"
    assert server_span(exported).name == "GET /later/{id}"


def test_one_instrumented_app_leaves_others_of_its_class_alone(exported: FakeCollector) -> None:
    clew.instrument(falcon.App())
    clew.instrument(Flask("one"))

    for other in (falcon.App(), Flask("two")):
        assert ask_wsgi(other).request_ids == []


def test_it_imports_no_framework_but_the_apps_own() -> None:
    done = run_script(
        """
        import sys
        import clew
        import flask

        clew.instrument(flask.Flask("shop"))
        found = {"starlette", "fastapi", "django", "falcon", "litestar", "quart"} & sys.modules.keys()
        print(sorted(found))
        """
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", ["fastapi", "starlette"])
def test_opentelemetrys_own_instrumentation_makes_no_second_span(collector: FakeCollector, kind: str) -> None:
    run_script(
        f"""
        import sys
        import clew
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
        from opentelemetry.instrumentation.starlette import StarletteInstrumentor
        from tests.instrumentation.frameworks.asking import ask_asgi
        from tests.instrumentation.frameworks.shops import {kind}_shop

        clew.configure(service="orders", endpoint=sys.argv[1], log_format="none")
        instrumentor = FastAPIInstrumentor if "{kind}" == "fastapi" else StarletteInstrumentor
        before, after = {kind}_shop(), {kind}_shop()
        instrumentor.instrument_app(before)
        clew.instrument(before)
        clew.instrument(after)
        for app in (before, after):
            assert app.middleware_stack is None
            assert ask_asgi(app, "/orders/17").status == 200
        assert clew.flush()
        """,
        collector.url,
    )

    names = [span.name for span in collector.spans]
    assert len([name for name in names if name.startswith("GET /orders")]) == 2, names
    assert len(names) == 4


async def ask_with_metrics(reader: InMemoryMetricReader, provider: MeterProvider) -> list[str]:
    app = clew.instrument(FastAPI(telemetry={"meter_provider": provider}))
    app.add_api_route("/", lambda: None)

    assert (await get(app)).status_code == 200

    found = reader.get_metrics_data()
    assert found is not None
    return [
        metric.name
        for resource in found.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def test_fastapis_own_metrics_stay(exported: FakeCollector) -> None:
    reader = InMemoryMetricReader()

    names = asyncio.run(ask_with_metrics(reader, MeterProvider([reader])))

    assert "http.server.request.duration" in names
    assert server_span(exported).name == "GET /"
