"""What `configure()` was told, by its arguments or by the environment, and checked.

`Settings` is the list of all there are; the reference page and the variables' names follow from it.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, Final, Literal, TypedDict, cast, get_args

from clew import fields as names
from clew import setting_kinds as kind
from clew.setting_kinds import Read, WrongError

LogFormat = Literal["auto", "console", "json", "ecs", "logfmt", "none"]
Protocol = Literal["http/protobuf", "grpc"]
Sampler = Literal[
    "parentbased_traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "traceidratio",
    "always_on",
    "always_off",
]
PROPAGATORS: Final = ("tracecontext", "baggage", "b3", "b3multi", "xray")

DEFAULT_ENDPOINT: Final = "http://127.0.0.1:4318"
DEFAULT_GRPC_ENDPOINT: Final = "http://127.0.0.1:4317"
DEFAULT_SERVICE: Final = "unknown_service:python"
"""What OpenTelemetry calls a service that nobody named."""


class _Otel:
    """An OpenTelemetry variable that gives a setting, and how its text becomes the setting's value."""

    def __init__(self, variable: str, read: Read | None = None) -> None:
        self.variable = variable
        self.read = read


def _setting(default: Any, read: Read, doc: str, *, otel: tuple[_Otel, ...] = ()) -> Any:
    metadata = {"read": read, "doc": doc, "otel": otel}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


def _unless(word: str) -> Read:
    """What OpenTelemetry's variables for exporters say: anything but this word is on."""
    return lambda value: str(value).strip().lower() != word


def _not(value: object) -> bool:
    return not kind.flag(value)


def _otlp(suffix: str, read: Read | None = None) -> tuple[_Otel, ...]:
    return (_Otel(f"OTEL_EXPORTER_OTLP_{suffix}", read),)


def _both(suffix: str, read: Read | None = None) -> tuple[_Otel, ...]:
    """A limit that OpenTelemetry has for spans and for logs, and clew for both."""
    return (_Otel(f"OTEL_BSP_{suffix}", read), _Otel(f"OTEL_BLRP_{suffix}", read))


_COUNT: Final = kind.whole(least=1, most=1_000_000)
_TIMEOUT: Final = kind.number(least=0.01, most=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, checked. Each is an argument of `configure()` and a variable: `log_level`, `CLEW_LOG_LEVEL`."""

    # What this service is
    service: str = _setting(
        DEFAULT_SERVICE, kind.text, "The service's name, `service.name`.", otel=(_Otel("OTEL_SERVICE_NAME"),)
    )
    version: str | None = _setting(None, kind.text, "The service's version, `service.version`.")
    environment: str | None = _setting(
        None, kind.text, "Where it runs, such as `production`: `deployment.environment.name`."
    )
    resource: Mapping[str, str] = _setting(
        {},
        kind.pairs,
        "More attributes of the service, on all that it sends.",
        otel=(_Otel("OTEL_RESOURCE_ATTRIBUTES"),),
    )
    enabled: bool = _setting(
        True, kind.flag, "False: clew does nothing at all.", otel=(_Otel("OTEL_SDK_DISABLED", _not),)
    )

    # Exporting
    endpoint: str = _setting(
        DEFAULT_ENDPOINT,
        kind.address(example=DEFAULT_ENDPOINT),
        "The collector's base address; `/v1/traces` and `/v1/logs` are added.",
        otel=_otlp("ENDPOINT"),
    )
    traces_endpoint: str | None = _setting(
        None,
        kind.address(example=f"{DEFAULT_ENDPOINT}/v1/traces", of_signal=True),
        "Where spans go, if elsewhere: the whole address.",
        otel=_otlp("TRACES_ENDPOINT"),
    )
    logs_endpoint: str | None = _setting(
        None,
        kind.address(example=f"{DEFAULT_ENDPOINT}/v1/logs", of_signal=True),
        "Where logs go, if elsewhere: the whole address.",
        otel=_otlp("LOGS_ENDPOINT"),
    )
    protocol: Protocol = _setting(
        "http/protobuf",
        kind.one_of("http/protobuf", "grpc"),
        "OTLP over HTTP, or over gRPC (with the extra `otel`; the endpoint is then that of gRPC, port 4317).",
        otel=_otlp("PROTOCOL"),
    )
    headers: Mapping[str, str] = _setting(
        {}, kind.headers, "Headers sent to the collector, such as an API key.", otel=_otlp("HEADERS")
    )
    traces_headers: Mapping[str, str] | None = _setting(
        None, kind.headers, "Headers sent with spans instead of those.", otel=_otlp("TRACES_HEADERS")
    )
    logs_headers: Mapping[str, str] | None = _setting(
        None, kind.headers, "Headers sent with logs instead of those.", otel=_otlp("LOGS_HEADERS")
    )
    certificate: str | None = _setting(
        None,
        kind.text,
        "A file with the certificates that the collector's one is checked against.",
        otel=_otlp("CERTIFICATE"),
    )
    compression: Literal["auto", "gzip", "none"] = _setting(
        "auto",
        kind.one_of("auto", "gzip", "none"),
        "How batches are compressed; auto: by gzip, unless the collector is on this machine.",
        otel=_otlp("COMPRESSION"),
    )
    export_timeout_s: float = _setting(
        5.0,
        _TIMEOUT,
        "How long the collector may take to answer, in seconds.",
        otel=_otlp("TIMEOUT", kind.seconds_or_milliseconds(_TIMEOUT)),
    )
    export_traces: bool = _setting(
        True, kind.flag, "Whether spans are sent.", otel=(_Otel("OTEL_TRACES_EXPORTER", _unless("none")),)
    )
    export_logs: bool = _setting(
        True, kind.flag, "Whether logs are sent.", otel=(_Otel("OTEL_LOGS_EXPORTER", _unless("none")),)
    )
    max_queue_records: int = _setting(
        16_384,
        _COUNT,
        "Spans, and as many logs, that may wait; more are dropped and counted.",
        otel=_both("MAX_QUEUE_SIZE"),
    )
    max_queue_bytes: int = _setting(
        32 << 20,
        kind.whole(least=65_536),
        "Bytes, about, that waiting spans may take, and as many for logs; more are dropped and counted.",
    )
    batch_records: int = _setting(1_024, _COUNT, "Records that are sent together.", otel=_both("MAX_EXPORT_BATCH_SIZE"))
    batch_delay_s: float = _setting(
        1.0,
        kind.number(least=0.01, most=60),
        "How long a record waits at most for others to travel with, in seconds.",
        otel=_both("SCHEDULE_DELAY", kind.milliseconds(kind.number(least=0.01, most=60))),
    )
    disk_buffer: str | None = _setting(
        None, kind.text, "A folder where batches are kept while the collector is away, also over a restart."
    )
    max_disk_buffer_bytes: int = _setting(
        64 << 20, kind.whole(least=65_536), "Bytes that the folder may hold; the oldest batches go first."
    )

    # Sampling
    sampler: Sampler = _setting(
        "parentbased_traceidratio",
        kind.one_of(*get_args(Sampler)),
        "Who decides whether a trace is kept: the caller where there is one (`parentbased_...`), else `sample_ratio`.",
        otel=(_Otel("OTEL_TRACES_SAMPLER"),),
    )
    sample_ratio: float = _setting(
        1.0,
        kind.number(least=0, most=1),
        "The share of traces that is kept, by trace ID.",
        otel=(_Otel("OTEL_TRACES_SAMPLER_ARG"),),
    )
    keep_errors: bool = _setting(
        True, kind.flag, "Whether this service's spans of a request that fails here are kept though it was not sampled."
    )
    keep_slower_than_s: float | None = _setting(
        None,
        kind.number(least=0, most=86_400),
        "From how many seconds on a request counts as slow, and is kept though it was not sampled.",
    )

    # Propagation
    propagators: tuple[str, ...] = _setting(
        ("tracecontext", "baggage"),
        kind.names_of(*PROPAGATORS, "none"),
        "What outgoing calls carry: tracecontext, baggage, b3, b3multi, xray. All of them are read.",
        otel=(_Otel("OTEL_PROPAGATORS"),),
    )
    trust_incoming: bool = _setting(
        True, kind.flag, "False: callers' IDs and baggage are not taken over; a link keeps what they said."
    )
    request_id_header: str = _setting(
        "X-Request-ID", kind.header_name, "The header that carries the correlation ID, read and written."
    )
    correlation_id_headers: tuple[str, ...] = _setting(
        ("X-Correlation-ID",), kind.header_names, "Headers that are read for it when that one is not there."
    )
    baggage_fields: tuple[str, ...] = _setting(
        (), kind.names, "Keys of the baggage that are copied onto logs and spans."
    )

    # Logs
    log_level: int = _setting(
        logging.INFO, kind.level, "The lowest level that structlog and the root handler write, by name or number."
    )
    log_format: LogFormat = _setting(
        "auto",
        kind.one_of("auto", "console", "json", "ecs", "logfmt", "none"),
        "How lines are written: auto is console on a terminal and json elsewhere; none leaves structlog alone.",
    )
    log_pattern: str | None = _setting(
        None, kind.text, "A line's pattern for the console format, such as `{time} {level} {correlation_id} {message}`."
    )
    root_handler: bool = _setting(
        False, kind.flag, "Whether a handler on the root logger writes `logging`'s lines in that format too."
    )
    access_log: bool = _setting(
        False, kind.flag, "Whether each request is logged when it ends, with its IDs, instead of by the server."
    )

    # Redaction
    redact: bool = _setting(
        True, kind.flag, "Whether values that are obviously secret are taken out of attributes and log fields."
    )
    redact_keys: tuple[str, ...] = _setting((), kind.names, "More names whose values are secret; case does not count.")
    redact_patterns: tuple[str, ...] = _setting(
        (), kind.patterns, "More regular expressions of what is secret in any text."
    )

    # What is instrumented
    instrumentations: tuple[str, ...] = _setting(
        ("all",), kind.names, "Libraries to instrument, by name; all: whatever is installed; none."
    )
    disabled_instrumentations: tuple[str, ...] = _setting(
        (),
        kind.names,
        "Libraries to leave alone, by name.",
        otel=(_Otel("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"),),
    )
    excluded_urls: tuple[str, ...] = _setting(
        (),
        kind.patterns,
        "Regular expressions of paths whose requests make no spans, such as `^/healthz$`. They still have an ID.",
        otel=(_Otel("OTEL_PYTHON_EXCLUDED_URLS"),),
    )
    propagate_to_threads: bool = _setting(
        True, kind.flag, "Whether threads, executors and process pools take over the context they are started in."
    )

    # Limits of one span
    max_attributes: int = _setting(
        128,
        kind.whole(least=0, most=10_000),
        "Attributes of a span; more are counted on it.",
        otel=(_Otel("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"), _Otel("OTEL_ATTRIBUTE_COUNT_LIMIT")),
    )
    max_events: int = _setting(
        128, kind.whole(least=0, most=10_000), "Its events.", otel=(_Otel("OTEL_SPAN_EVENT_COUNT_LIMIT"),)
    )
    max_links: int = _setting(
        128, kind.whole(least=0, most=10_000), "Its links.", otel=(_Otel("OTEL_SPAN_LINK_COUNT_LIMIT"),)
    )


class Arguments(TypedDict, total=False):
    """The arguments of `configure()` but for the service's name; None is as if it were not given."""

    version: str | None
    environment: str | None
    resource: Mapping[str, str] | None
    enabled: bool | None
    endpoint: str | None
    traces_endpoint: str | None
    logs_endpoint: str | None
    protocol: Protocol | None
    headers: Mapping[str, str] | None
    traces_headers: Mapping[str, str] | None
    logs_headers: Mapping[str, str] | None
    certificate: str | None
    compression: Literal["auto", "gzip", "none"] | None
    export_timeout_s: float | None
    export_traces: bool | None
    export_logs: bool | None
    max_queue_records: int | None
    max_queue_bytes: int | None
    batch_records: int | None
    batch_delay_s: float | None
    disk_buffer: str | None
    max_disk_buffer_bytes: int | None
    sampler: Sampler | None
    sample_ratio: float | None
    keep_errors: bool | None
    keep_slower_than_s: float | None
    propagators: tuple[str, ...] | list[str] | None
    trust_incoming: bool | None
    request_id_header: str | None
    correlation_id_headers: tuple[str, ...] | list[str] | None
    baggage_fields: tuple[str, ...] | list[str] | None
    log_level: str | int | None
    log_format: LogFormat | None
    log_pattern: str | None
    root_handler: bool | None
    access_log: bool | None
    redact: bool | None
    redact_keys: tuple[str, ...] | list[str] | None
    redact_patterns: tuple[str, ...] | list[str] | None
    instrumentations: tuple[str, ...] | list[str] | None
    disabled_instrumentations: tuple[str, ...] | list[str] | None
    excluded_urls: tuple[str, ...] | list[str] | None
    propagate_to_threads: bool | None
    max_attributes: int | None
    max_events: int | None
    max_links: int | None


def read_settings(arguments: Mapping[str, object], environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `configure()`'s arguments (None: not given), then CLEW_* variables, then OTEL_* ones.

    Raises `ValueError` for an argument or a CLEW_* variable that cannot work, and `TypeError` for an argument that is
    none. An OTEL_* variable may be meant for somebody else: one that cannot work is warned of and ignored, as
    OpenTelemetry's specification asks.
    """
    environ = os.environ if environ is None else environ
    known = {setting.name: setting for setting in fields(Settings)}
    if unknown := arguments.keys() - known.keys():
        raise TypeError(f"clew.configure: there is no setting {sorted(unknown)[0]!r}")
    values: dict[str, Any] = {}
    for name, setting in known.items():
        variable = f"CLEW_{name.upper()}"
        if arguments.get(name) is not None:
            values[name] = _read(setting.metadata["read"], arguments[name], name)
        elif environ.get(variable):
            values[name] = _read(setting.metadata["read"], environ[variable], variable)
        elif (found := _from_otel(setting, environ)) is not None:
            values[name] = found
    _name_from_resource(values)
    if values.get("protocol") == "grpc":
        values.setdefault("endpoint", DEFAULT_GRPC_ENDPOINT)
    return Settings(**values)


def variables_of(setting: "Field[Any]") -> tuple[str, ...]:
    """The variables that give a setting, in their order: clew's own first."""
    return (f"CLEW_{setting.name.upper()}", *(otel.variable for otel in setting.metadata["otel"]))


def _from_otel(setting: "Field[Any]", environ: Mapping[str, str]) -> object:
    for otel in setting.metadata["otel"]:
        value = environ.get(otel.variable)
        if not value:
            continue
        try:
            return cast(Callable[[object], object], otel.read or setting.metadata["read"])(value)
        except WrongError as error:
            logging.getLogger("clew").warning("%s is ignored: it must be %s", otel.variable, error.right)
    return None


def _read(read: Read, value: object, name: str) -> object:
    try:
        return read(value)
    except WrongError as error:
        seen = repr(value) if error.seen is None else error.seen
        raise ValueError(f"clew.configure: {name} must be {error.right}, got {seen}") from None


def _name_from_resource(values: dict[str, Any]) -> None:
    """OTEL_RESOURCE_ATTRIBUTES may say what the service is called, too."""
    resource = values.get("resource", {})
    for name, keys in (
        ("service", (names.SERVICE_NAME,)),
        ("version", (names.SERVICE_VERSION,)),
        ("environment", (names.DEPLOYMENT_ENVIRONMENT, "deployment.environment")),
    ):
        found = next((resource[key] for key in keys if resource.get(key)), None)
        if name not in values and found is not None:
            values[name] = found
