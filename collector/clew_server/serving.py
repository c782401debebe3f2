"""Starting a collector with its pages: sockets, processes, and the moment when both answer."""

import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from itertools import chain
from typing import Final

from clew_collector.config import CollectorConfig
from clew_collector.errors import ConfigError
from clew_collector.keys import KeyConfig, digest_of_key, new_key
from clew_collector.sinks.config import target_of
from clew_collector.spool import Spool
from clew_server.handover import ConfigHandover
from clew_server.listeners import LISTENERS, OTLP_HTTP, Listener, OpenListener
from clew_server.own_telemetry import ENDPOINT_VARIABLE, KEY_VARIABLE
from clew_server.readers import reader_lines
from clew_server.sinking import register_readers
from clew_server.sockets import Sockets, listen
from clew_server.supervisor import ChildSpec, Supervisor

OWN_KEY_NAME: Final = "clew-itself"
_PROBE_TIMEOUT_S: Final = 1.0


class Collector:
    """The two processes of a collector under a supervisor.

    Listens before it starts them and keeps the sockets open, so that senders wait instead of being refused while a
    process is started again. Raises `ConfigError` for a port or a spool that cannot be used.
    """

    def __init__(self, config: CollectorConfig) -> None:
        self.config = config
        self._listeners = {listener.name: OpenListener(listener, config) for listener in LISTENERS}
        self._dashboard = listen("127.0.0.1", config.dashboard.port, remedy="--port or dashboard.port")
        self.own_key = new_key() if config.keys else ""
        self._handover = ConfigHandover(self._with_own_key(config))
        # Made here first: two processes that make the same file at once get in each other's way.
        spool = Spool(config.spool_path)
        register_readers(config, spool)
        spool.close()

    @property
    def otlp_url(self) -> str:
        """Where services send their logs and traces."""
        return self._listeners[OTLP_HTTP.name].url or ""

    def address(self, listener: Listener) -> str | None:
        """Where senders of another kind send to; `None` where that is not taken."""
        return self._listeners[listener.name].url

    def listener_lines(self, *, width: int) -> list[str]:
        """A line for each way in, where it is and what it takes, or why it is not taken; and for each way out."""
        listening = [listener.line(width=width) for listener in self._listeners.values() if listener.is_enabled]
        sinks = [f"{'Sink':<{width}}{sink.name}, to {target_of(sink)}" for sink in self.config.sinks]
        return listening + reader_lines(self.config, width=width) + sinks

    @property
    def dashboard_url(self) -> str:
        """Where people look."""
        return f"http://127.0.0.1:{self._dashboard.getsockname()[1]}"

    def start(self, supervisor: Supervisor) -> None:
        """Have both processes kept running."""
        ways_in = {name: listener.sockets for name, listener in self._listeners.items() if listener.sockets}
        supervisor.start(self.spec("intake", "clew_server.intake", ways_in))
        supervisor.start(self.spec("store", "clew_server.store", {"dashboard": [self._dashboard]}))

    def reload(self, config: CollectorConfig, supervisor: Supervisor) -> None:
        """Go on with another configuration: the processes finish what they are doing and start again with it.

        Raises `ConfigError`, and goes on as before, if it changes what only a new start can: where it listens, and
        where the data is.
        """
        if config.data != self.config.data:
            raise ConfigError(f"data can only be changed by a new start: it is {self.config.data}")
        for listener in self._listeners.values():
            listener.check_reload(self.config, config)
        if config.dashboard != self.config.dashboard:
            raise ConfigError("dashboard can only be changed by a new start")
        if bool(config.keys) != bool(self.config.keys):
            raise ConfigError("whether keys are asked for can only be changed by a new start")
        spool = Spool(config.spool_path)
        register_readers(config, spool)
        spool.close()
        self.config = config
        self._handover.hand(self._with_own_key(config))
        supervisor.restart()

    def spec(self, name: str, module: str, sockets: Mapping[str, Sockets]) -> ChildSpec:
        """How one of the processes is started."""
        fds = {name: [listening.fileno() for listening in each] for name, each in sockets.items()}
        named_fds = [f"{name}={','.join(map(str, each))}" for name, each in fds.items()]
        argv = [sys.executable, "-m", module, str(self._handover.fd), *named_fds]
        passed_on = (self._handover.fd, *chain.from_iterable(fds.values()))
        return ChildSpec(name=name, argv=argv, env=self._observation(), fds=passed_on)

    def _observation(self) -> dict[str, str]:
        """What tells a process where to send what it says of itself. Not over TLS: nobody vouches for 127.0.0.1."""
        if not self.config.telemetry.observe_itself or not self.otlp_url.startswith("http://"):
            return {ENDPOINT_VARIABLE: ""}
        return {ENDPOINT_VARIABLE: self.otlp_url, KEY_VARIABLE: self.own_key}

    def _with_own_key(self, config: CollectorConfig) -> CollectorConfig:
        """Where keys are asked for, `clew import` and what the collector says of itself need one, too."""
        if not self.own_key:
            return config
        own = KeyConfig(name=OWN_KEY_NAME, sha256=digest_of_key(self.own_key).hex())
        return config.model_copy(update={"keys": (*config.keys, own)})

    def close(self) -> None:
        """Stop listening, once the processes have ended."""
        for listener in self._listeners.values():
            listener.close()
        self._dashboard.close()
        self._handover.close()

    def is_ready(self) -> bool:
        """Whether all answer now."""
        asked = [listener.health_url for listener in self._listeners.values()]
        return all(answers(url) for url in (*filter(None, asked), f"{self.dashboard_url}/health?format=json"))


def answers(url: str) -> bool:
    """Whether anything answers HTTP at this address, with whatever status."""
    try:
        # Whose certificate it is does not matter here; that something answers does.
        urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S, context=ssl._create_unverified_context()).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
