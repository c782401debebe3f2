"""Each in a process of its own: what is instrumented for a whole class stays so."""

import pytest

from tests.instrumentation.fake_collector import FakeCollector, attributes_of
from tests.instrumentation.frameworks.shops import SHOPS, Shop
from tests.instrumentation.scripts import run_script

ASK = """
    import sys
    import clew
    from clew.frameworks import automatic

    {before}
    clew.configure(service="orders", endpoint=sys.argv[1], log_format="json")
    automatic.install()
    automatic.install()

    from tests.instrumentation.frameworks.shops import SHOPS

    (shop,) = [shop for shop in SHOPS if shop.name == sys.argv[2]]
    {make}
    for _ in range(2):
        print(shop.ask(app, "/orders/17", {{"X-Request-ID": "r"}}).request_ids)
    print(shop.ask(app, "/fail/broken").status)
    assert clew.flush()
"""
EVERY = pytest.mark.parametrize("shop", SHOPS, ids=lambda shop: shop.name)


def assert_followed_once(collector: FakeCollector, shop: Shop, output: str) -> None:
    assert output.splitlines() == ["['r']", "['r']", "500"]
    servers = [span for span in collector.spans if span.name.startswith("GET")]
    assert [span.name for span in servers[:2]] == [f"GET {shop.route}"] * 2
    assert len(servers) == 3
    assert attributes_of(servers[2].attributes)["error.type"].endswith("Broken")


@EVERY
def test_an_app_is_followed_without_a_line_of_its_own(collector: FakeCollector, shop: Shop) -> None:
    done = run_script(ASK.format(before="", make="app = shop.make()"), collector.url, shop.name)

    assert_followed_once(collector, shop, done.stdout)


@EVERY
def test_an_app_that_the_service_instruments_is_followed_once(collector: FakeCollector, shop: Shop) -> None:
    script = ASK.format(before="BEFORE", make="app = clew.instrument(clew.instrument(shop.make()))")
    # The frameworks are there already when it is switched on.
    script = script.replace("BEFORE", "import starlette.applications, fastapi, flask, quart, litestar, falcon.asgi")

    done = run_script(script, collector.url, shop.name)

    assert_followed_once(collector, shop, done.stdout)


def test_what_nobody_imports_is_not_imported() -> None:
    done = run_script(
        """
        import sys
        from clew.frameworks import automatic

        automatic.install()
        found = {"starlette", "fastapi", "flask", "django", "falcon", "litestar", "quart"} & sys.modules.keys()
        print(sorted(found))
        """
    )

    assert done.stdout.strip() == "[]"


def test_constructors_keep_their_signatures_and_subclasses_their_ways() -> None:
    run_script(
        """
        import inspect
        from clew.frameworks import automatic
        from clew.frameworks.wsgi import ClewWSGIMiddleware
        from flask import Flask

        before = inspect.signature(Flask)
        automatic.install()
        assert inspect.signature(Flask) == before

        class Shop(Flask):
            def __init__(self):
                super().__init__("shop")
                self.ready = True

        assert Shop().ready
        assert isinstance(Shop().wsgi_app, ClewWSGIMiddleware)
        """
    )


def test_a_framework_that_has_changed_beyond_recognition_is_left_alone() -> None:
    done = run_script(
        """
        import flask.signals
        from clew.frameworks import automatic

        del flask.signals.got_request_exception
        automatic.install()
        print(flask.Flask("shop").name)
        """
    )

    assert done.stdout.strip() == "shop"
    assert "cannot be instrumented" in done.stderr
