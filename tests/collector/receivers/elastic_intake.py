"""A receiver of Elasticsearch's documents with what it handed on."""

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

import tests.collector.receivers.intake as intake_in_process
from clew_collector.errors import ClewError
from clew_collector.receivers.elastic_bulk import ElasticBulkReceiver

LIMIT = 500_000


class Intake(intake_in_process.Intake):
    """One for ElasticBulkReceiver."""

    def __init__(self, error: ClewError | None = None) -> None:
        super().__init__(ElasticBulkReceiver, error=error, max_body_bytes=LIMIT)

    def logs(self) -> list[LogRecord]:
        return [
            log
            for payload in self.payloads
            for group in ExportLogsServiceRequest.FromString(payload.body).resource_logs
            for log in group.scope_logs[0].log_records
        ]

    def bodies(self) -> list[str]:
        return [log.body.string_value for log in self.logs()]

    def indices(self) -> set[str]:
        return {
            attribute.value.string_value
            for log in self.logs()
            for attribute in log.attributes
            if attribute.key == "elasticsearch.index"
        }
