"""Tests of what a service's requests really emitted, over all its processes: the pytest fixture `clew_requests`.

    def test_an_order_reserves_stock(clew_requests):
        with clew_requests.new() as request:
            httpx.post("http://127.0.0.1:8000/orders", headers=request.headers)
        request.wait_complete()
        request.assert_hop("orders", "inventory")
        request.assert_logged("stock reserved", service="inventory")
        request.no_orphans()

The fixture starts a collector as a process of its own (which needs the extra `server`) and points this process and all
that it starts at it.
"""

from clew.testing.captured import CapturedRequest, Log, Span
from clew.testing.collector import CollectorNotStarted, RunningCollector, running_collector
from clew.testing.requests import ClewRequests, FollowedRequest

__all__ = [
    "CapturedRequest",
    "ClewRequests",
    "CollectorNotStarted",
    "FollowedRequest",
    "Log",
    "RunningCollector",
    "Span",
    "running_collector",
]
