"""The page on scaling: what it says about defaults is so, and its configuration goes by the field that clew writes."""

import yaml

from clew.fields import CORRELATION_ID
from clew_collector.config.collector import SpoolConfig, StoreConfig
from clew_collector.receivers.otlp_grpc import GRPC_PORT
from tests.docs.pages import DOCS, blocks

PAGE = "how-to/scaling.md"
TEXT = (DOCS / PAGE).read_text()


def test_requests_are_told_apart_by_the_field_that_all_of_clews_records_have() -> None:
    [config] = [yaml.safe_load(block) for block in blocks(PAGE, "yaml")]

    exporter = config["exporters"]["load_balancing"]
    assert (exporter["routing_key"], exporter["routing_attributes"]) == ("attributes", [CORRELATION_ID])
    assert {name.rpartition(":")[2] for name in exporter["resolver"]["static"]["hostnames"]} == {str(GRPC_PORT)}


def test_the_defaults_are_those_of_the_code() -> None:
    assert f"`spool.max_bytes` ({SpoolConfig().max_bytes >> 30} GiB)" in TEXT
    assert f"{StoreConfig().memory_bytes >> 20} MiB is the default" in TEXT
