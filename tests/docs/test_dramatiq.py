from pathlib import Path

from tests.docs.messages import TIMEOUT_S, follow, names_by_time
from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import running_collector


def test_the_page_shows_a_message_and_what_its_actor_sends(rabbitmq_url: str, tmp_path: Path) -> None:
    page = read_page("frameworks/dramatiq.md")
    page.write(tmp_path)
    app = tmp_path / "app.py"
    app.write_text(app.read_text().replace("amqp://guest:guest@127.0.0.1:5672/", rabbitmq_url))
    with running_collector() as collector:
        env = {"CLEW_ENDPOINT": collector.url}
        with running(page.command("dramatiq") + " -p 1 -t 1", folder=tmp_path, env=env) as worker:
            follow(page.command("python send.py"), folder=tmp_path, env=env)
            collector.wait_for(lambda: "process receipt" in names_by_time(collector, "order-17"))
            worker.terminate()
            worker.wait(TIMEOUT_S)
    lines = [log for log in collector.logs if "receipt of" in log.body.string_value]

    names = names_by_time(collector, "order-17")
    assert names == ["checkout", "send charge", "process charge", "send receipt", "process receipt"]
    (receipt,) = [span for span in collector.spans if span.name == "process receipt"]
    assert [(line.trace_id, line.span_id) for line in lines] == [(receipt.trace_id, receipt.span_id)]
