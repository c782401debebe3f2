"""Places within a Flask application."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from benchmarks.instrumentation.places import HEADERS, Places

if TYPE_CHECKING:
    from flask import Flask

CASES = ("clew", "opentelemetry", "ddtrace")


def drive(app: "Flask", places: Places) -> None:
    """Flask's own places; `app` is instrumented already."""
    from flask import Response

    @app.get("/view")
    def view() -> str:
        places.note("Flask: view")
        return "x"

    @app.get("/stream")
    def stream() -> Any:
        def chunks() -> Iterator[str]:
            yield "a"
            places.note("Flask: streamed generator")
            yield "b"

        return Response(chunks())

    @app.errorhandler(ValueError)
    def handle(_error: Exception) -> tuple[str, int]:
        places.note("Flask: errorhandler")
        return "x", 500

    @app.get("/fail")
    def fail() -> str:
        raise ValueError

    @app.teardown_request
    def teardown(_error: Any) -> None:
        places.note("Flask: teardown_request")

    client = app.test_client()
    for path in ("/view", "/fail", "/stream"):
        assert client.get(path, headers=[(name.decode(), value.decode()) for name, value in HEADERS]).data is not None


def instrumented(case: str) -> Any:
    """A Flask application under the case's instrumentation."""
    from flask import Flask

    if case == "clew":
        import clew

        return clew.instrument(Flask("shop"))
    if case == "opentelemetry":
        from opentelemetry.instrumentation.flask import FlaskInstrumentor

        app = Flask("shop")
        FlaskInstrumentor().instrument_app(app)
        return app
    from ddtrace import patch

    patch(flask=True)
    from flask import Flask as Patched

    return Patched("shop")
