"""What shippers ask before they send documents, and set up for them: templates, policies, pipelines, indices.

All of it is acknowledged and kept nowhere, and whoever asks for one is told that it is not there: a shipper then sets
it up, and goes on. Every index takes documents.
"""

from collections.abc import Sequence
from typing import Any, Final

from clew_collector.model import record

VERSION: Final = "9.2.0"
"""What we say that we are: some shippers want a server that is as new as they are."""

_KEPT_NOWHERE: Final = frozenset(
    ("_template", "_index_template", "_component_template", "_ilm", "_ingest", "_data_stream", "_alias", "_aliases"),
)
_NODE: Final = "clew"
_NO_UUID: Final = "_na_"


@record
class ProbeAnswer:
    """A status and the form of the body."""

    status: int
    form: Any


def answer_probe(method: str, path: Sequence[str], *, address: str) -> ProbeAnswer | None:
    """The answer to a call that is not about documents; `None` if there is no such call here.

    `path` is the address in parts, decoded; `address` is the host and port that the client knows us by.
    """
    if (told := _told(path, address)) is not None:
        return ProbeAnswer(200, told) if method in ("GET", "HEAD") else None
    if path[0] in _KEPT_NOWHERE:
        return _setting_up(method, path)
    return None if path[0].startswith("_") else _index(method, path)


def _told(path: Sequence[str], address: str) -> dict[str, Any] | None:
    """What we say about ourselves."""
    match path:
        case []:
            return _root()
        case ["_license"]:
            return _license()
        case ["_xpack"]:
            return _xpack()
        case ["_cluster", "health", *_]:
            return _health()
        case ["_nodes"] | ["_nodes", "http"] | ["_nodes", _, "http"]:
            return _nodes(address)
    return None


def _setting_up(method: str, path: Sequence[str]) -> ProbeAnswer | None:
    if method in ("PUT", "POST", "DELETE"):
        return ProbeAnswer(200, {"acknowledged": True})
    if method in ("GET", "HEAD"):
        return ProbeAnswer(404, _not_there(path)) if len(path) > 1 else ProbeAnswer(200, {})
    return None


def _not_there(path: Sequence[str]) -> dict[str, Any]:
    reason = f"{'/'.join(path):.200} is not there: clew acknowledges such and keeps none"
    error = {"type": "resource_not_found_exception", "reason": reason}
    return {"error": {"root_cause": [error], **error}, "status": 404}


def _index(method: str, path: Sequence[str]) -> ProbeAnswer | None:
    index = path[0]
    if len(path) == 1:
        if method == "HEAD":
            return ProbeAnswer(200, {})
        if method == "GET":
            return ProbeAnswer(200, {index: {"aliases": {}, "mappings": {}, "settings": {}}})
        if method == "PUT":
            return ProbeAnswer(200, {"acknowledged": True, "shards_acknowledged": True, "index": index})
    elif path[1] == "_refresh" and method in ("GET", "POST"):
        return ProbeAnswer(200, {"_shards": {"total": 1, "successful": 1, "failed": 0}})
    elif path[1] in ("_alias", "_aliases", "_mapping", "_settings") and method in ("PUT", "POST"):
        return ProbeAnswer(200, {"acknowledged": True})
    return None


def _root() -> dict[str, Any]:
    return {
        "name": _NODE,
        "cluster_name": _NODE,
        "cluster_uuid": _NO_UUID,
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "unknown",
            "build_hash": "unknown",
            "build_date": "2025-01-01T00:00:00.000000000Z",
            "build_snapshot": False,
            "lucene_version": "10.0.0",
            "minimum_wire_compatibility_version": "8.19.0",
            "minimum_index_compatibility_version": "8.0.0",
        },
        "tagline": "You Know, for Search",  # clients of version 7 look at it
    }


def _license() -> dict[str, Any]:
    return {"license": {"status": "active", "uid": _NO_UUID, "type": "basic", "issued_to": _NODE, "issuer": _NODE}}


def _xpack() -> dict[str, Any]:
    return {
        "build": {"hash": "unknown", "date": "2025-01-01T00:00:00.000000Z"},
        "license": {"uid": _NO_UUID, "type": "basic", "mode": "basic", "status": "active"},
        "features": {
            "ilm": {"available": True, "enabled": True},
            "security": {"available": True, "enabled": False},
        },
        "tagline": "You know, for X",
    }


def _health() -> dict[str, Any]:
    counts = ("relocating_shards", "initializing_shards", "unassigned_shards", "delayed_unassigned_shards")
    return {
        "cluster_name": _NODE,
        "status": "green",
        "timed_out": False,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 1,
        "active_shards": 1,
        **dict.fromkeys(counts, 0),
        "number_of_pending_tasks": 0,
        "number_of_in_flight_fetch": 0,
        "task_max_waiting_in_queue_millis": 0,
        "active_shards_percent_as_number": 100.0,
    }


def _nodes(address: str) -> dict[str, Any]:
    """One node, at the address that the client has already: one that looks for more nodes stays with us."""
    node = {
        "name": _NODE,
        "host": address.rpartition(":")[0],
        "ip": address.rpartition(":")[0],
        "version": VERSION,
        "build_flavor": "default",
        "roles": ["data", "ingest", "master"],
        "http": {"bound_address": [address], "publish_address": address, "max_content_length_in_bytes": 16 << 20},
    }
    return {
        "_nodes": {"total": 1, "successful": 1, "failed": 0},
        "cluster_name": _NODE,
        "nodes": {_NODE: node},
    }
