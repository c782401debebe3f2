"""Senders of every protocol that acknowledges: each tries until what it sends is acknowledged, as real ones do."""

import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Protocol

import grpc
import httpx

from tests.collector.otlp_builders import a_log, logs

DEADLINE_S = 90.0
GRPC_EXPORT = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


class Sender(Protocol):
    """One connection to a collector."""

    same_again: bool
    """Whether what may or may not have been taken is sent again as it was; else it is given up, and new is sent."""

    def send(self, names: Sequence[str]) -> bool:
        """Send a record for each name; whether all are acknowledged. Raises `ConnectionError` if nobody can know."""
        ...


class OtlpHttp:
    same_again = True

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10, headers={"content-type": "application/x-protobuf"})

    def send(self, names: Sequence[str]) -> bool:
        return _post(self._client, "/v1/logs", logs(*map(a_log, names)).SerializeToString()).status_code == 200


class OtlpGrpc:
    same_again = True

    def __init__(self, address: str) -> None:
        channel = grpc.insecure_channel(address)
        self._export = channel.unary_unary(GRPC_EXPORT)

    def send(self, names: Sequence[str]) -> bool:
        try:
            self._export(logs(*map(a_log, names)).SerializeToString(), timeout=10)
        except grpc.RpcError as error:
            raise ConnectionError from error
        return True


class Zipkin:
    same_again = True

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10, headers={"content-type": "application/json"})
        self._bodies: dict[str, bytes] = {}

    def send(self, names: Sequence[str]) -> bool:
        body = self._bodies.setdefault(names[0], json.dumps([_zipkin_span(name) for name in names]).encode())
        return _post(self._client, "/api/v2/spans", body).status_code == 202


class ElasticBulk:
    same_again = False

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10, headers={"content-type": "application/x-ndjson"})

    def send(self, names: Sequence[str]) -> bool:
        lines = [line for name in names for line in ({"create": {"_index": "logs"}}, {"message": name})]
        body = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        answer = _post(self._client, "/_bulk", body)
        return answer.status_code == 200 and not answer.json()["errors"]


class Load:
    """Several senders at once. `acknowledged` are the names that the collector has answered for.

    Each sends `bodies_each`, and more until it `may_end`.
    """

    def __init__(
        self,
        connect: Callable[[], Sender],
        *,
        senders: int,
        bodies_each: int,
        records_each: int,
        may_end: Callable[[], bool] = lambda: True,
    ) -> None:
        self._connect = connect
        self._may_end = may_end
        self._bodies_each = bodies_each
        self._records_each = records_each
        self.acknowledged: set[str] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(senders)]

    def run(self) -> set[str]:
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            thread.join()
        return self.acknowledged

    def _send(self, number: int) -> None:
        sender = self._connect()
        deadline_s = time.monotonic() + DEADLINE_S
        for body in itertools.count():
            if body >= self._bodies_each and (self._may_end() or time.monotonic() > deadline_s):
                return
            names = self._until_acknowledged(sender, f"{number}-{body}")
            with self._lock:
                self.acknowledged.update(names)

    def _until_acknowledged(self, sender: Sender, prefix: str) -> list[str]:
        deadline_s = time.monotonic() + DEADLINE_S
        attempt = 0
        while time.monotonic() < deadline_s:
            names = [f"{prefix}-{attempt}-{record}" for record in range(self._records_each)]
            try:
                if sender.send(names):
                    return names
            except ConnectionError:
                attempt += 0 if sender.same_again else 1
            time.sleep(0.02)
        raise AssertionError("never acknowledged")


def _post(client: httpx.Client, path: str, body: bytes) -> httpx.Response:
    try:
        return client.post(path, content=body)
    except httpx.TransportError as error:
        raise ConnectionError from error


def _zipkin_span(name: str) -> dict[str, object]:
    id = uuid.uuid4().hex
    return {"traceId": id, "id": id[:16], "name": name, "timestamp": time.time_ns() // 1000, "duration": 1}
