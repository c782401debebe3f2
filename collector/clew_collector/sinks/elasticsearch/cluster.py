"""Requests to the nodes of a cluster, and what their answers mean.

The transport is that of the package elasticsearch: connections that are kept, nodes that are left out while they are
down, TLS. Its client is not used: it refuses OpenSearch, insists on the media types of its own version, and would
decode and encode what is here bytes already.
"""

import base64
import gzip
import logging
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson
from elastic_transport import NodeConfig, Serializer, Transport, TransportError
from elastic_transport.client_utils import url_to_node_config

from clew_collector.model import record
from clew_collector.sinks.base import SinkUnavailable
from clew_collector.sinks.elasticsearch.config import ElasticsearchConfig
from clew_collector.sinks.http import client_context, is_here, tls_hint

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
_SIGNALS_AT_ONCE: Final = 2
_MAX_REASON_LENGTH: Final = 300
_COMPRESSION_LEVEL: Final = 1
# What urllib3 calls where it could not connect to; the address is said before it.
_CONNECTION: Final = re.compile(r"^\w+\(host=[^)]*\): ")


class NoAnswer(SinkUnavailable):
    """Nobody knows what became of a request: it may have been carried out, or still be under way."""


@record
class Answer:
    """What a node answered."""

    status: int
    body: bytes
    retry_after_s: float | None

    def json(self) -> Any:
        """The body; raises `NoAnswer` if that is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise NoAnswer(f"{self.status}, and not JSON: {self.body[:100]!r}") from error

    @property
    def reason(self) -> str:
        """What the node says is wrong, in a line."""
        try:
            error = orjson.loads(self.body)["error"]
            text = error if isinstance(error, str) else f"{error['type']}: {error['reason']}"
        except (orjson.JSONDecodeError, LookupError, TypeError):
            text = self.body.decode(errors="replace")
        return f"{self.status} {' '.join(text.split())[:_MAX_REASON_LENGTH]}"


class Cluster:
    """The nodes of a configuration. For any thread. Raises `ConfigError` if a certificate cannot be used."""

    def __init__(self, config: ElasticsearchConfig) -> None:
        self.nodes = len(config.urls)
        self._where = ", ".join(config.urls)
        self._headers = {"accept": JSON, **_authorization(config)}
        self._timeout_s = config.timeout_s
        self._compresses = config.gzip if config.gzip is not None else not all(map(is_here, config.urls))
        # It would say at each attempt that a node is away; that is said once, by whoever waits for it.
        logging.getLogger("elastic_transport").setLevel(logging.CRITICAL)
        self._transport = Transport(
            [_node(url, config) for url in config.urls],
            serializers={JSON: _AsBytes(), NDJSON: _AsBytes()},
            meta_header=False,
            max_retries=0,
            retry_on_status=(),
        )

    def ask(self, method: str, target: str, body: bytes | None = None, *, content_type: str = JSON) -> Answer:
        """One request to one node that is up, as far as is known; raises `NoAnswer`."""
        headers = dict(self._headers)
        if body is not None:
            headers["content-type"] = content_type
            if self._compresses:
                headers["content-encoding"] = "gzip"
                body = gzip.compress(body, _COMPRESSION_LEVEL)
        try:
            meta, told = self._transport.perform_request(
                method, target, body=body, headers=headers, request_timeout=self._timeout_s
            )
        except TransportError as error:
            said = _told(error)
            raise NoAnswer(f"{self._where}: {method} {target.partition('?')[0]}: {said}{tls_hint(said)}") from error
        return Answer(
            status=meta.status,
            body=told.encode() if isinstance(told, str) else told or b"",
            retry_after_s=_seconds(meta.headers.get("retry-after")),
        )

    def ask_any(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """A request that may be repeated: each node is tried, and only a success or 404 is returned.

        Raises `SinkUnavailable`.
        """
        for left in reversed(range(self.nodes)):
            try:
                answer = self.ask(method, target, body)
            except NoAnswer:
                if not left:
                    raise
                continue
            if answer.status >= 400 and answer.status != 404:
                raise unavailable(f"{method} {target.partition('?')[0]}", answer)
            return answer
        raise AssertionError("a cluster has a node")

    def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        self._transport.close()


def unavailable(what: str, answer: Answer) -> SinkUnavailable:
    """An answer after which the same request is sent again, later."""
    hint = ""
    if answer.status == 401:
        hint = "; check api_key, or user and password"
    if answer.status == 403:
        hint = "; docs/sinks/elasticsearch.md has the privileges, and what install_templates: false is for"
    return SinkUnavailable(f"{what}: {answer.reason}{hint}", retry_after_s=answer.retry_after_s)


class _AsBytes(Serializer):
    """Bodies are bytes on both sides."""

    def dumps(self, data: bytes) -> bytes:
        return data

    def loads(self, data: bytes) -> bytes:
        return data


def _node(url: str, config: ElasticsearchConfig) -> NodeConfig:
    node = url_to_node_config(url, use_default_ports_for_scheme=True)
    more: dict[str, Any] = {"connections_per_node": config.connections * _SIGNALS_AT_ONCE}
    if node.scheme == "https":
        more["ssl_context"] = client_context(config.tls)
    return node.replace(**more)


def _authorization(config: ElasticsearchConfig) -> Mapping[str, str]:
    if config.api_key is not None:
        return {"authorization": f"ApiKey {config.api_key.get_secret_value()}"}
    if config.user is not None and config.password is not None:
        pair = f"{config.user}:{config.password.get_secret_value()}".encode()
        return {"authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return {}


def _told(error: TransportError) -> str:
    return " ".join(_CONNECTION.sub("", str(error.message)).split())[:_MAX_REASON_LENGTH]


def _seconds(value: str | None) -> float | None:
    return float(value[:9]) if value is not None and value.isascii() and value.isdigit() else None
