from pathlib import Path

from tests.docs.messages import follow
from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import attributes_of, running_collector
from tests.servers.processes import free_port


def test_the_pages_client_is_served_in_its_request(tmp_path: Path) -> None:
    page = read_page("frameworks/grpc.md")
    page.write(tmp_path)
    port = str(free_port())
    for name in page.files:
        file = tmp_path / name
        file.write_text(file.read_text().replace("50051", port))

    with running_collector() as collector:
        env = {"CLEW_ENDPOINT": collector.url, "no_proxy": "127.0.0.1"}
        with running(page.command("python server.py"), folder=tmp_path, env=env):
            follow(page.command("python client.py"), folder=tmp_path, env=env)
            collector.wait_for(lambda: len(collector.spans) == 3 and len(collector.logs) == 3)

    spans = {(span.name, span.kind): span for span in collector.spans}
    (checkout, call, rpc) = sorted(spans.values(), key=lambda span: span.start_time_unix_nano)
    assert [checkout.name, call.name, rpc.name] == ["checkout", "shop.Stock/Reserve", "shop.Stock/Reserve"]
    assert (call.parent_span_id, rpc.parent_span_id) == (checkout.span_id, call.span_id)
    lines = {line.body.string_value: attributes_of(line.attributes) for line in collector.logs}
    assert lines.keys() == {"ordered", "reserved", "answered"}
    assert {line["correlation.id"] for line in lines.values()} == {"order-17"}
    assert lines["answered"]["request_id"] == "order-17"
