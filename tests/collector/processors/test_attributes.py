"""Enriching and renaming: attributes of records and resources."""

import platform
import socket
from typing import Any

import pytest
from pydantic import ValidationError

from clew_collector.model import Value
from clew_collector.processors.config import Processors
from clew_collector.processors.enrich import Enrich, EnrichConfig
from clew_collector.wire.otlp.select import SELECTS
from tests.collector.otlp_builders import a_log, a_span, logs, resource, traces
from tests.collector.processors.applying import configured, logs_after, spans_after

THEIRS: dict[str, Value] = {"host.name": "theirs", "env": 1}


def enriched(**config: Any) -> dict[str, Any]:
    request = logs(a_log())
    request.resource_logs[0].resource.CopyFrom(resource("shop", **THEIRS))
    [log] = logs_after(request, {"type": "enrich", **config})
    return dict(log.resource)


def renamed(values: dict[str, Any], **config: Any) -> dict[str, Any]:
    [log] = logs_after(logs(a_log(more=values)), {"type": "rename", **config})
    return dict(log.attributes)


def test_tags_are_added_with_their_types_and_what_the_sender_said_stays() -> None:
    tags = {"env": "prod", "team": "it's ☃", "on": True, "n": 7, "x": 0.5}

    assert enriched(tags=tags) == {"service.name": "shop", "host.name": "theirs", **tags, "env": 1}


def test_tags_overwrite_if_asked_to() -> None:
    assert enriched(tags={"env": "prod"}, overwrite=True)["env"] == "prod"


def test_spans_and_records_without_a_resource_are_enriched() -> None:
    request = traces(a_span())
    request.resource_spans[0].ClearField("resource")

    [span] = spans_after(request, {"type": "enrich", "tags": {"env": "prod"}})

    assert (span.service, span.resource) == ("unknown_service", {"env": "prod"})


def test_the_collectors_host_is_added_where_the_sender_named_none() -> None:
    assert enriched(host=True)["host.name"] == "theirs"
    [log] = logs_after(logs(a_log()), {"type": "enrich", "host": True})
    assert log.resource["host.name"] == socket.gethostname()
    assert log.resource["os.type"] == platform.system().lower()


def test_kubernetes_and_cloud_are_read_from_the_environment_if_asked_for() -> None:
    environment = {"K8S_POD_NAME": "clew-0", "POD_NAMESPACE": "ops", "AWS_REGION": "eu-west-1", "K8S_NODE_NAME": ""}

    def found(**config: Any) -> dict[str, Any]:
        return Enrich(EnrichConfig(type="enrich", **config), environment=environment).values

    assert found(kubernetes=True) == {"k8s.pod.name": "clew-0", "k8s.namespace.name": "ops"}
    assert found(cloud=True) == {"cloud.region": "eu-west-1"}
    assert found(kubernetes=True, tags={"k8s.pod.name": "mine"})["k8s.pod.name"] == "mine"
    assert found() == {}


def test_with_nothing_to_add_the_select_is_as_it_was() -> None:
    nothing = Enrich(EnrichConfig(type="enrich", kubernetes=True), environment={})

    assert Processors([nothing]).apply("logs", SELECTS["logs"]) == SELECTS["logs"]


def test_keys_are_renamed_with_their_values_and_types() -> None:
    after = renamed({"a": 1, "b": 2.5, "c": "x"}, keys={"a": "it's", "absent": "y"})

    assert after == {"it's": 1, "b": 2.5, "c": "x"}


def test_what_has_the_new_name_already_is_not_touched() -> None:
    assert renamed({"a": 1, "b": 2}, keys={"a": "b"}) == {"a": 1, "b": 2}


def test_attributes_are_removed_by_glob_and_set_with_their_types() -> None:
    after = renamed({"tmp.a": 1, "TMP.b": 2, "n": 3, "s": "x"}, remove=["tmp.*"], set={"n": "three", "ok": True})

    assert after == {"n": "three", "s": "x", "ok": True}


def test_a_resource_is_changed_if_asked_for() -> None:
    request = logs(a_log(more={"env": "theirs"}))
    request.resource_logs[0].resource.CopyFrom(resource("shop", env="prod"))

    [log] = logs_after(request, {"type": "rename", "where": "resource", "keys": {"env": "deployment.environment.name"}})

    assert log.resource == {"service.name": "shop", "deployment.environment.name": "prod"}
    assert log.attributes == {"env": "theirs"}


def test_only_records_for_which_the_condition_holds_are_changed_even_if_that_changes_it() -> None:
    request = logs(a_log("one", more={"kind": "a", "n": 1}), a_log("two", more={"kind": "b", "n": 1}))

    config = {"keys": {"kind": "sort"}, "remove": ["n"], "set": {"m": 2}, "when": {"attributes": {"kind": "a"}}}
    after = logs_after(request, {"type": "rename", **config})

    assert [log.attributes for log in after] == [{"sort": "a", "m": 2}, {"kind": "b", "n": 1}]


def test_an_attribute_renamed_to_correlation_id_joins_its_record_to_the_request() -> None:
    request = logs(a_log(more={"req": "mine"}), a_log(correlation_id="given", more={"req": "other"}), a_log())

    after = logs_after(request, {"type": "rename", "keys": {"req": "correlation.id"}})

    assert [log.correlation_id for log in after] == ["mine", "given", None]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"type": "enrich", "tags": {"service.name": "x"}}, "service.name is the sender's"),
        ({"type": "rename"}, "needs keys, remove or set"),
        ({"type": "rename", "keys": {"a": "service.name"}}, "service.name is the sender's"),
        ({"type": "rename", "set": {"a": 2**63}}, "64 bits"),
        ({"type": "enrich", "tags": {"a": 2**63}}, "64 bits"),
        ({"type": "other"}, "redact"),
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused(config: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        configured(config)
