"""The templates of the data streams: shipped with the package, installed where they are missing."""

import threading
from importlib import resources
from typing import Any, Final

import orjson
import structlog

from clew_collector.model import Signal
from clew_collector.sinks.elasticsearch.cluster import Answer, Cluster, unavailable
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig

_INDEX_TEMPLATES: Final[dict[Signal, str]] = {"logs": "clew-logs", "traces": "clew-spans"}
_ATTRIBUTES: Final = "clew-attributes"
_LIFECYCLE: Final = "clew-lifecycle"
_POLICY: Final = "clew"

log = structlog.get_logger(__name__)


def template(name: str) -> dict[str, Any]:
    """A template of the package: `component-clew-common`, `index-clew-logs`."""
    file = resources.files(__package__).joinpath("templates", f"{name}.json")
    made: dict[str, Any] = orjson.loads(file.read_bytes())
    return made


class Templates:
    """What the streams of a configuration need. What is there already is left as it is. For any thread."""

    def __init__(self, cluster: Cluster, config: ElasticsearchConfig) -> None:
        self._cluster = cluster
        self._config = config
        self._lock = threading.Lock()
        self._ready: set[Signal] = set()

    def ensure(self, signal: Signal) -> None:
        """Install what is missing for a signal, once; blocks. Raises `SinkUnavailable`."""
        with self._lock:
            if signal not in self._ready:
                self._install(signal)
                self._ready.add(signal)

    def _install(self, signal: Signal) -> None:
        stream = self._config.stream(signal)
        assert stream is not None
        name, body = _index_template(signal, stream)
        if self._is_there(f"/_index_template/{name}"):
            return
        is_opensearch = self._is_opensearch()
        for component in body["composed_of"]:
            folder = "opensearch/" if is_opensearch and component == _ATTRIBUTES else ""
            self._put_if_missing(f"/_component_template/{component}", template(f"{folder}component-{component}"))
        if not is_opensearch and self._has_lifecycles():
            self._put_if_missing(f"/_ilm/policy/{_POLICY}", template("lifecycle-policy"))
            self._put_if_missing(f"/_component_template/{_LIFECYCLE}", template("lifecycle-component"))
            body["composed_of"].append(_LIFECYCLE)
        self._put_if_missing(f"/_index_template/{name}", body)
        log.info("templates installed", sink=self._config.name, template=name, stream=stream)

    def _is_opensearch(self) -> bool:
        answer = self._known("/")
        return answer is not None and answer.json().get("version", {}).get("distribution") == "opensearch"

    def _has_lifecycles(self) -> bool:
        """A small Elasticsearch may lack the module."""
        return self._known("/_ilm/policy") is not None

    def _known(self, target: str) -> Answer | None:
        """The answer where there is such a target; one that is only refused for now raises `SinkUnavailable`."""
        answer = self._cluster.ask("GET", target)
        if answer.status in (403, 429) or answer.status >= 500:
            raise unavailable(f"GET {target}", answer)
        return answer if answer.status == 200 else None

    def _put_if_missing(self, target: str, body: dict[str, Any]) -> None:
        if not self._is_there(target):
            self._cluster.ask_any("PUT", target, orjson.dumps(body))

    def _is_there(self, target: str) -> bool:
        return self._cluster.ask_any("GET", target).status != 404


def _index_template(signal: Signal, stream: str) -> tuple[str, dict[str, Any]]:
    """Name and body; a stream of another name than ours has a template of its own."""
    name = _INDEX_TEMPLATES[signal]
    body = template(f"index-{name}")
    [pattern] = body["index_patterns"]
    if stream.startswith(pattern.removesuffix("*")):
        return name, body
    return f"{name}-{stream}", {**body, "index_patterns": [stream]}
