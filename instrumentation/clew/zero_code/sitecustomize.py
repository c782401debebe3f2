"""Found on PYTHONPATH by every Python that `clew run` starts, and by those that it starts: switches clew on.

Python imports the first `sitecustomize` only; the one that would have been found without ours follows it.
"""

import os
import sys

_FOLDER = os.path.dirname(os.path.abspath(__file__))


def _switch_on() -> None:
    """Configure clew and instrument what will be imported. Whatever goes wrong, the command runs as it would."""
    try:
        import clew

        clew.configure()
    except (Exception, SystemExit) as error:  # noqa: BLE001  (even an import that exits must not end the host)
        # Python programs that the command starts may well have no clew, and nobody wants to read that each time.
        if os.environ.get("CLEW_RUN_PID") == str(os.getpid()):
            print(f"clew run: {sys.executable} runs without clew: {type(error).__name__}: {error}", file=sys.stderr)
        return
    try:
        from clew.frameworks import automatic

        automatic.install()
    except Exception as error:  # noqa: BLE001
        print(f"clew run: no framework is instrumented: {type(error).__name__}: {error}", file=sys.stderr)


def _chain() -> None:
    """Import the `sitecustomize` that ours hides."""
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != _FOLDER]
    own = sys.modules.pop("sitecustomize", None)
    try:
        import sitecustomize  # type: ignore[import-not-found]  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "sitecustomize":
            raise
        if own is not None:
            sys.modules["sitecustomize"] = own


try:
    _chain()
finally:
    _switch_on()
