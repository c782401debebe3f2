from pathlib import Path

from tests.docs.messages import follow, names_by_time
from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import running_collector


def test_the_page_shows_a_task_its_retry_and_what_it_sends(redis_url: str, tmp_path: Path) -> None:
    page = read_page("frameworks/celery.md")
    page.write(tmp_path)
    app = tmp_path / "app.py"
    app.write_text(app.read_text().replace("redis://127.0.0.1:6379", redis_url).replace("countdown=1", "countdown=0"))
    with running_collector() as collector:
        env = {"CLEW_ENDPOINT": collector.url}
        # Threads: children that are asked to end right after a task may wait for their parent for half a minute.
        with running(page.command("celery") + " --pool threads", folder=tmp_path, env=env):
            follow(page.command("python send.py"), folder=tmp_path, env=env)
            collector.wait_for(lambda: "run app.receipt" in names_by_time(collector, "order-17"))

            names = names_by_time(collector, "order-17")
            lines = collector.wait_for(lambda: [log for log in collector.logs if "receipt of" in log.body.string_value])

    assert names[:2] == ["checkout", "apply_async app.charge"]
    assert names.count("run app.charge") == 2
    assert names[-1] == "run app.receipt"
    (receipt,) = [span for span in collector.spans if span.name == "run app.receipt"]
    assert [(line.trace_id, line.span_id) for line in lines] == [(receipt.trace_id, receipt.span_id)]
