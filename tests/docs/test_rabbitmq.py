from pathlib import Path

from tests.docs.messages import follow, names_by_time
from tests.docs.pages import read_page, running
from tests.instrumentation.fake_collector import running_collector


def test_the_page_shows_a_message_to_a_callback_and_one_to_an_iterator(rabbitmq_url: str, tmp_path: Path) -> None:
    page = read_page("frameworks/rabbitmq.md")
    page.write(tmp_path)
    for name in page.files:
        file = tmp_path / name
        file.write_text(file.read_text().replace("amqp://guest:guest@127.0.0.1:5672/", rabbitmq_url))
    (tmp_path / "async").mkdir()
    with running_collector() as collector:
        env = {"CLEW_ENDPOINT": collector.url}
        with (
            running(page.command("python worker.py"), folder=tmp_path, env=env),
            running(
                page.command("python async_worker.py").replace("async", "../async"), folder=tmp_path / "async", env=env
            ),
        ):
            follow(page.command("python send.py"), folder=tmp_path, env=env)
            collector.wait_for(lambda: len(names_by_time(collector, "order-17")) == 5)
            collector.wait_for(lambda: len(collector.logs) == 2)

    names = names_by_time(collector, "order-17")
    assert sorted(names) == [
        "checkout",
        "process invoices",
        "process orders",
        "publish invoices",
        "publish orders",
    ]
    by_name = {span.name: span for span in collector.spans}
    lines = {log.body.string_value: (log.trace_id, log.span_id) for log in collector.logs}
    assert lines == {
        "packing order 17": (by_name["process orders"].trace_id, by_name["process orders"].span_id),
        "writing the invoice of order 17": (
            by_name["process invoices"].trace_id,
            by_name["process invoices"].span_id,
        ),
    }
