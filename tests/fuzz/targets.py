"""The decoders that are fuzzed: a new one is one more of `TARGETS`."""

from collections.abc import Mapping
from typing import Final

from clew_collector.errors import BadPayload, ConfigError
from clew_collector.wire.zipkin.proto3 import decode_proto3
from clew_collector.wire.zipkin.v1_json import decode_v1_json
from clew_collector.wire.zipkin.v2_json import decode_v2_json
from tests.fuzz import checks, seeds
from tests.fuzz.http_heads import check_http
from tests.fuzz.mutation import mutate_json, mutate_lines, mutate_protobuf
from tests.fuzz.target import Target

SHORT_BYTES: Final = 8 << 10
JSON_WORDS: Final = (
    '{"',
    '":',
    '"}',
    "[{",
    "}]",
    "null",
    "true",
    "1e999",
    "\\ud800",
    "\\u0000",
    "18446744073709551616",
)
SPAN_WORDS: Final = ('"traceId"', '"id"', '"parentId"', '"timestamp"', '"duration"', '"tags"', '"shared"', '"kind"')
LINE_WORDS: Final = ('="', "level=", "trace_id=", "2026-01-01T00:00:00Z", "[client ", "1790000000", '\\"', "request: ")
TARGETS: Final[Mapping[str, Target]] = {
    "otlp_protobuf": Target(check=checks.check_otlp_protobuf, seeds=seeds.otlp_protobuf, mutate=mutate_protobuf),
    "otlp_json": Target(
        check=checks.check_otlp_json,
        seeds=seeds.otlp_json,
        words=(*JSON_WORDS, '"intValue"', '"arrayValue"', '"kvlistValue"', '"resourceLogs"', '"timeUnixNano"'),
        mutate=mutate_json,
    ),
    "zipkin_v1": Target(
        check=checks.check_zipkin(decode_v1_json),
        seeds=seeds.zipkin_v1,
        refuses=BadPayload,
        words=(*JSON_WORDS, *SPAN_WORDS, '"binaryAnnotations"', '"cs"', '"sr"', '"traceIdHigh"'),
        mutate=mutate_json,
    ),
    "zipkin_v2": Target(
        check=checks.check_zipkin(decode_v2_json),
        seeds=seeds.zipkin_v2,
        refuses=BadPayload,
        words=(*JSON_WORDS, *SPAN_WORDS, '"localEndpoint"', '"value":"{\\"a\\":{\\"b\\":'),
        mutate=mutate_json,
    ),
    "zipkin_proto3": Target(
        check=checks.check_zipkin(decode_proto3), seeds=seeds.zipkin_proto3, refuses=BadPayload, mutate=mutate_protobuf
    ),
    "jaeger": Target(
        check=checks.check_jaeger,
        seeds=seeds.jaeger,
        refuses=BadPayload,
        words=(*JSON_WORDS, '"traceID"', '"spanID"', '"tags"', '"type"', '"int64"', '"references"'),
        mutate=mutate_json,
    ),
    "files": Target(check=checks.check_files, seeds=seeds.files, words=JSON_WORDS, mutate=mutate_json),
    "elastic_bulk": Target(
        check=checks.check_elastic_bulk,
        seeds=seeds.documents,
        refuses=BadPayload,
        words=(*JSON_WORDS, '"@timestamp"', '"create"', '"_index"', '"message"', '"log.level"', "a.b"),
        mutate=mutate_json,
    ),
    "syslog": Target(
        check=checks.check_syslog,
        seeds=seeds.syslog,
        words=("<13>1 ", "[x@1 ", "Jan  1 00:00:00 "),
        mutate=mutate_lines,
        max_bytes=SHORT_BYTES,
    ),
    "frames": Target(
        check=checks.check_frames,
        seeds=seeds.frames,
        words=("9 <1>", "\n", "99999999 "),
        mutate=mutate_lines,
        max_bytes=SHORT_BYTES,
    ),
    "lines": Target(
        check=checks.check_lines,
        seeds=seeds.lines,
        words=(*JSON_WORDS, *LINE_WORDS),
        mutate=mutate_lines,
        max_bytes=SHORT_BYTES,
    ),
    "multiline": Target(
        check=checks.check_multiline,
        seeds=seeds.multiline,
        words=("\n", "\r\n", "\tat ", "Traceback"),
        mutate=mutate_lines,
        max_bytes=SHORT_BYTES,
    ),
    "bodies": Target(check=checks.check_body, seeds=seeds.bodies, refuses=BadPayload),
    "http": Target(
        check=check_http,
        seeds=seeds.requests,
        words=("\r\n", "POST / HTTP/1.1\r\n", "content-length: ", "transfer-encoding: chunked", "expect: 100-continue"),
        mutate=mutate_lines,
        max_bytes=SHORT_BYTES,
    ),
    "settings": Target(
        check=checks.check_settings,
        seeds=seeds.settings,
        refuses=ConfigError,
        words=("&a", "*a", "<<: ", "!!", "receivers", "tail", "${", "multiline"),
        mutate=mutate_lines,
        max_bytes=SHORT_BYTES,
    ),
}
