"""Attributes that the collector knows and the sender does not: where it runs, and what somebody configured."""

import os
import platform
import socket
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from clew.fields import SERVICE_NAME
from clew_collector.model import Signal
from clew_collector.processors.attribute_lists import replacing, with_added, with_set
from clew_collector.processors.base import Changing
from clew_collector.processors.literals import Plain

# Names of OpenTelemetry's resource conventions, each with the variables that are looked at, in this order.
_KUBERNETES: Final = {
    "k8s.cluster.name": ("K8S_CLUSTER_NAME",),
    "k8s.namespace.name": ("K8S_NAMESPACE_NAME", "K8S_NAMESPACE", "K8S_POD_NAMESPACE", "POD_NAMESPACE"),
    "k8s.node.name": ("K8S_NODE_NAME", "NODE_NAME"),
    "k8s.pod.name": ("K8S_POD_NAME", "POD_NAME"),
    "k8s.pod.uid": ("K8S_POD_UID", "POD_UID"),
    "k8s.pod.ip": ("K8S_POD_IP", "POD_IP"),
    "k8s.container.name": ("K8S_CONTAINER_NAME",),
    "k8s.deployment.name": ("K8S_DEPLOYMENT_NAME",),
}
_CLOUD: Final = {
    "cloud.provider": ("CLOUD_PROVIDER",),
    "cloud.platform": ("CLOUD_PLATFORM",),
    "cloud.account.id": ("CLOUD_ACCOUNT_ID", "GOOGLE_CLOUD_PROJECT"),
    "cloud.region": ("CLOUD_REGION", "AWS_REGION", "AWS_DEFAULT_REGION", "GOOGLE_CLOUD_REGION"),
    "cloud.availability_zone": ("CLOUD_AVAILABILITY_ZONE",),
    "cloud.resource_id": ("CLOUD_RESOURCE_ID",),
}


def _without_service(tags: dict[str, Plain]) -> dict[str, Plain]:
    if SERVICE_NAME in tags:
        raise ValueError(f"{SERVICE_NAME} is the sender's to say")
    return tags


class EnrichConfig(BaseModel):
    """`type: enrich` under `processors` in clew.yaml: adds resource attributes.

    `host` adds `host.name` and `os.type` of this collector, `kubernetes` and `cloud` what the environment variables
    of this process say; nothing is asked over the network. What a sender has said itself stays, unless `overwrite`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    type: Literal["enrich"]
    tags: Annotated[dict[str, Plain], AfterValidator(_without_service)] = Field(default={}, max_length=100)
    host: bool = False
    kubernetes: bool = False
    cloud: bool = False
    overwrite: bool = False


class Enrich(Changing):
    """Adds resource attributes; tags come before what was found out."""

    def __init__(self, config: EnrichConfig, *, environment: Mapping[str, str] = os.environ) -> None:
        values: dict[str, Plain] = {}
        if config.host:
            values |= {"host.name": socket.gethostname(), "os.type": platform.system().lower()}
        if config.kubernetes:
            values |= _found(_KUBERNETES, environment)
        if config.cloud:
            values |= _found(_CLOUD, environment)
        self.values = values | config.tags
        self._put = with_set if config.overwrite else with_added

    def apply(self, signal: Signal, select: str) -> str:
        """See `Processor.apply`."""
        return replacing(select, self._put("resource", self.values)) if self.values else select


def _found(variables: Mapping[str, tuple[str, ...]], environment: Mapping[str, str]) -> dict[str, Plain]:
    found = {
        key: next((environment[name] for name in names if environment.get(name)), "")
        for key, names in variables.items()
    }
    return {key: value for key, value in found.items() if value}
