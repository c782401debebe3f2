"""An archive of files: NDJSON or Parquet, in a folder or an object store."""

from clew_collector.sinks.file.config import FileSinkConfig, S3Config
from clew_collector.sinks.file.sink import FileSink

__all__ = ["FileSink", "FileSinkConfig", "S3Config"]
