import clew
from tests.instrumentation.scripts import run_script


def test_every_public_name_is_there() -> None:
    for name in clew.__all__:
        assert getattr(clew, name) is not None
        assert name in dir(clew)


def test_importing_clew_imports_nothing_that_is_not_used_yet() -> None:
    run_script(
        """
        import sys
        import clew
        assert not [name for name in sys.modules if name.startswith(("clew.", "opentelemetry", "structlog"))
                    and name != "clew.version"], sys.modules
        """
    )


def test_configuring_does_not_import_opentelemetrys_sdk() -> None:
    run_script(
        """
        import sys
        import clew
        clew.configure("orders", instrumentations=["none"], endpoint="http://127.0.0.1:1")
        assert "opentelemetry.sdk" not in sys.modules
        assert "google.protobuf" not in sys.modules
        """
    )
