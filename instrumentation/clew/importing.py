"""Call back when a module is imported, without importing it: who never uses a library must not pay for it."""

import importlib.util
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


def when_imported(name: str, then: Callable[[], None]) -> None:
    """Call `then` once the top-level module `name` is imported: now, if it is already."""
    module = sys.modules.get(name)
    if module is not None:
        _call(name, then)
        return
    if not any(isinstance(finder, _Watcher) and finder.is_for(name, then) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watcher(name, then))


class _Watcher(MetaPathFinder):
    """Finds nothing by itself: asks the other finders, and wraps the loader they name."""

    def __init__(self, name: str, then: Callable[[], None]) -> None:
        self.name = name
        self._then = then
        self._asking = threading.local()

    def is_for(self, name: str, then: Callable[[], None]) -> bool:
        """Whether this call waits for this module already."""
        return self.name == name and self._then == then

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, its loader wrapped."""
        if fullname != self.name or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._imported)
        return spec

    def _imported(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        _call(self.name, self._then)


def _call(name: str, then: Callable[[], None]) -> None:
    """Call `then`, in the middle of the service's own import: what fails there is clew's affair alone."""
    try:
        then()
    except Exception as error:
        logging.getLogger("clew").warning(
            "%s is not instrumented: %s: %s", name, type(error).__name__, error, exc_info=True
        )


class _Loader(Loader):
    """Another loader, and a call after it."""

    def __init__(self, loader: Loader, imported: Callable[[], None]) -> None:
        self._loader = loader
        self._imported = imported

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the wrapped loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As the wrapped loader does, which is put back; then the call."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._imported()
