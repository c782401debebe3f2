import sys
from pathlib import Path

import pytest

from clew.importing import when_imported


def fail() -> None:
    raise RuntimeError("a version that is not known")


def test_an_import_succeeds_though_what_waits_for_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "library_of_tomorrow.py").write_text("answer = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    when_imported("library_of_tomorrow", fail)

    import library_of_tomorrow  # type: ignore[import-not-found]

    assert library_of_tomorrow.answer == 42
    assert "library_of_tomorrow is not instrumented: RuntimeError: a version that is not known" in caplog.text
    del sys.modules["library_of_tomorrow"]


def test_what_fails_at_once_does_no_harm_either(caplog: pytest.LogCaptureFixture) -> None:
    when_imported("sys", fail)

    assert "sys is not instrumented" in caplog.text
