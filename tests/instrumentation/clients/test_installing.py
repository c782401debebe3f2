import sys

import pytest

from clew.importing import when_imported
from tests.instrumentation.clients.peer import Peer
from tests.instrumentation.fake_collector import FakeCollector
from tests.instrumentation.scripts import run_script

OLD_SESSIONS = """
import asyncio, sys
import aiohttp, httpx, requests, urllib3, urllib.request
import clew

url, collector = sys.argv[1:]

async def main():
    async with aiohttp.ClientSession() as by_aiohttp, httpx.AsyncClient(trust_env=False) as by_async_httpx:
        by_httpx, by_requests, by_urllib3 = httpx.Client(trust_env=False), requests.Session(), urllib3.PoolManager()
        by_urllib = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        by_requests.trust_env = False
        clew.configure(service="orders", endpoint=collector, log_format="none")
        with clew.request("job", correlation_id="job-1"):
            (await by_aiohttp.get(url + "/aiohttp")).release()
            await by_async_httpx.get(url + "/async_httpx")
            by_httpx.get(url + "/httpx")
            by_requests.get(url + "/requests")
            by_urllib3.request("GET", url + "/urllib3")
            by_urllib.open(url + "/urllib").close()

asyncio.run(main())
assert clew.flush()
"""


def test_sessions_made_before_configure_are_followed(collector: FakeCollector, peer: Peer) -> None:
    run_script(OLD_SESSIONS, peer.url, collector.url)

    sent = {received.target[1:]: received.span_id for received in peer.received}
    assert sent.keys() == {"aiohttp", "async_httpx", "httpx", "requests", "urllib3", "urllib"}
    assert set(sent.values()) <= {span.span_id.hex() for span in collector.spans}
    assert {received["x-request-id"] for received in peer.received} == {"job-1"}


def test_asking_for_requests_alone_is_enough(collector: FakeCollector, peer: Peer) -> None:
    run_script(
        """
        import clew, requests, sys
        clew.configure(service="orders", endpoint=sys.argv[2], log_format="none", instrumentations=["requests"])
        requests.get(sys.argv[1] + "/200", proxies={"http": None})
        assert clew.flush()
        """,
        peer.url,
        collector.url,
    )

    assert peer.received[0].span_id == collector.spans[0].span_id.hex()


def test_configure_imports_no_client() -> None:
    run_script(
        """
        import clew, sys
        clew.configure(service="s", log_format="none")
        found = {"httpx", "requests", "urllib3", "aiohttp", "urllib.request"} & sys.modules.keys()
        assert not found, found
        """
    )


def test_clients_are_wrapped_when_they_are_imported_later() -> None:
    run_script(
        """
        import clew
        clew.configure(service="s", log_format="none")
        import aiohttp, httpx, requests, urllib3, urllib.request
        for method in (
            httpx.HTTPTransport.handle_request,
            httpx.AsyncHTTPTransport.handle_async_request,
            requests.Session.resolve_redirects,
            urllib3.HTTPConnectionPool._make_request,
            urllib.request.HTTPHandler.do_open,
            aiohttp.ClientSession._request,
        ):
            assert hasattr(method, "_clew_wrapped"), method
        assert type(httpx.__spec__.loader).__name__ == "SourceFileLoader"
        """
    )


def test_importing_clew_is_light() -> None:
    heavy = ["httpx", "starlette", "fastapi", "pydantic", "requests", "opentelemetry.sdk", "google.protobuf"]

    run_script(f"import clew, sys; found = [n for n in {heavy!r} if n in sys.modules]; assert not found, found")


def test_a_module_that_is_there_already_is_met_at_once() -> None:
    called: list[str] = []

    when_imported("httpx", lambda: called.append("now"))

    assert called == ["now"]


def test_a_module_that_does_not_exist_still_does_not() -> None:
    when_imported("no_such_module_here", lambda: pytest.fail("imported"))

    with pytest.raises(ModuleNotFoundError):
        __import__("no_such_module_here")
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, "name", "") != "no_such_module_here"]
