"""Each real server starts and really answers."""

import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from elasticsearch import Elasticsearch
from playwright.sync_api import Page

from tests.servers import rabbitmq, redis

TEMPLATES = Path(__file__).parents[1] / "elk" / "elasticsearch"


def install_templates(client: Elasticsearch) -> None:
    """As elk/README.md says."""
    for path in sorted(TEMPLATES.glob("component-*.json")):
        client.cluster.put_component_template(name=path.stem.removeprefix("component-"), **json.loads(path.read_text()))
    for path in sorted(TEMPLATES.glob("index-*.json")):
        client.indices.put_index_template(name=path.stem.removeprefix("index-"), **json.loads(path.read_text()))


def test_elasticsearch_keeps_a_log_under_our_templates_to_the_nanosecond(elasticsearch_url: str) -> None:
    client = Elasticsearch(elasticsearch_url)
    install_templates(client)
    document = {
        "@timestamp": "2026-03-01T14:03:07.118000123Z",
        "message": "card declined by acme-pay",
        "log": {"level": "error"},
        "service": {"name": "payments"},
        "trace": {"id": "0af7651916cd43dd8448eb211c80319c"},
        "correlation": {"id": "req-7f3a09c1"},
        "attributes": {"order.id": "ORD-1"},
    }

    answer = client.bulk(
        index="logs-clew-default", operations=[{"create": {"_id": "1-0"}}, document], refresh="wait_for"
    )
    again = client.bulk(index="logs-clew-default", operations=[{"create": {"_id": "1-0"}}, document])
    found = client.search(
        index="logs-clew-default",
        query={"bool": {"filter": [{"term": {"correlation.id": "req-7f3a09c1"}}, {"match": {"message": "DECLINED"}}]}},
        sort=[{"@timestamp": {"order": "desc", "format": "strict_date_optional_time_nanos"}}],
    )

    assert not answer["errors"]
    assert again["items"][0]["create"]["status"] == 409
    assert [hit["_source"]["service"]["name"] for hit in found["hits"]["hits"]] == ["payments"]
    assert found["hits"]["hits"][0]["sort"] == ["2026-03-01T14:03:07.118000123Z"]


def test_elasticsearch_keeps_attributes_whose_names_and_types_clash(elasticsearch_url: str) -> None:
    client = Elasticsearch(elasticsearch_url)
    install_templates(client)
    clashing: list[dict[str, Any]] = [
        {"http": "1.1", "size": 1},
        {"http.method": "GET", "size": "large"},
        {"http": {"method": "PUT"}},
    ]

    lines: list[dict[str, Any]] = []
    for attributes in clashing:
        lines += [{"create": {}}, {"@timestamp": "2026-03-01T14:03:07Z", "attributes": attributes}]
    answer = client.bulk(index="logs-clew-clashes", operations=lines, refresh="wait_for")
    found = client.search(index="logs-clew-clashes", query={"term": {"attributes.http.method": "PUT"}})

    assert [item["create"]["status"] for item in answer["items"]] == [201, 201, 201]
    assert [hit["_source"]["attributes"] for hit in found["hits"]["hits"]] == [{"http": {"method": "PUT"}}]


def test_zipkin_keeps_a_span(zipkin_url: str) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    span = {
        "traceId": trace_id,
        "id": "b7ad6b7169203331",
        "name": "get /stock",
        "timestamp": int(time.time() * 1e6),
        "duration": 1500,
        "localEndpoint": {"serviceName": "inventory"},
    }
    headers = {"content-type": "application/json"}
    post = urllib.request.Request(f"{zipkin_url}/api/v2/spans", data=json.dumps([span]).encode(), headers=headers)
    with urllib.request.urlopen(post) as answer:
        assert answer.status == 202

    found = _trace_from(zipkin_url, trace_id)

    assert [(each["name"], each["duration"]) for each in found] == [("get /stock", 1500)]


def test_chromium_opens_a_page_and_takes_a_picture_of_it(page: Page) -> None:
    class Hello(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>hello</title><script>document.title += ' from a script'</script>")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Hello)
    Thread(target=server.serve_forever, daemon=True).start()

    page.goto(f"http://127.0.0.1:{server.server_address[1]}/")

    assert page.title() == "hello from a script"
    assert page.screenshot().startswith(base64.b64decode("iVBORw=="))
    server.shutdown()


def test_redis_keeps_a_value(redis_url: str) -> None:
    port = int(redis_url.rpartition(":")[2])

    assert redis.ask(port, "SET", "clew", "thread") == b"+OK\r\n"
    assert redis.ask(port, "GET", "clew") == b"$6\r\nthread\r\n"


def test_rabbitmq_greets_an_amqp_client(rabbitmq_url: str) -> None:
    port = int(rabbitmq_url.rpartition(":")[2].strip("/"))

    greeting = rabbitmq.greeting(port)

    assert b"RabbitMQ" in greeting
    assert b"AMQPLAIN" in greeting


STARTS_A_SERVER = """
import sys, time
from pathlib import Path
from tests.servers.processes import running, temporary_folder

with temporary_folder("doomed") as folder, running(
    ["/bin/sh", "-c", "sleep 300 & sleep 300"], name="doomed", is_ready=lambda: True, folder=folder
) as pid:
    print(pid, folder, flush=True)
    time.sleep(300)
"""


def test_a_server_is_gone_when_the_test_run_was_killed() -> None:
    test_run = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
    )
    assert test_run.stdout is not None
    pid, folder = test_run.stdout.readline().split()

    test_run.kill()
    test_run.communicate()

    deadline_s = time.monotonic() + 20
    while _group_lives(int(pid)) or Path(folder).exists():
        assert time.monotonic() < deadline_s, f"process group {pid} or {folder} is still there"
        time.sleep(0.05)


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _trace_from(url: str, trace_id: str) -> list[dict[str, Any]]:
    """The trace once Zipkin has it: it answers before it keeps."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"{url}/api/v2/trace/{trace_id}") as answer:
                found: list[dict[str, Any]] = json.load(answer)
                return found
        except urllib.error.HTTPError:
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
