"""What is promised when something goes wrong, for each sink and each fault, and how docs show it."""

from typing import Final

from clew_collector.model import record

SINKS: Final = ("elasticsearch", "zipkin", "otlp_http", "otlp_grpc", "kafka", "file", "s3")

FAULTS: Final = (
    "away at the start",
    "away while many batches pile up",
    "slower than the time-out",
    "refuses some records",
    "429 with Retry-After",
    "429 without Retry-After",
    "413",
    "half-written answer",
    "certificate of an unknown authority",
    "certificate of another host",
    "wrong credentials",
    "restart in the middle",
    "rollover in the middle",
    "kill -9 before the hand-over",
    "kill -9 after the hand-over",
    "kill -9 after the cursor moved",
)


@record
class Cell:
    """What holds at the end, when the fault is over: `once`, `at least once`, or nothing, for the fault cannot be.

    `note` says why it is not once. `says` is what the one line about the failure has to match: what is wrong, where,
    and, where waiting does not help, what would be right; without it nothing fails, or the dead letter says it.
    `letter` is what the reason of the dead letter has to match, where there is one.
    """

    promise: str = "once"
    note: str = ""
    says: str = ""
    letter: str = ""


_REFUSED: Final = r"Connection refused"
_DOUBLES_AT_A_CRASH: Final = (
    "Kafka does not know the next producer for the same one: a message under way comes again, byte by byte the same, "
    "in the same partition. A reader tells spans apart by their IDs, log records by the whole message"
)
_ONE_NODE: Final = "only Elasticsearch begins a new index under way"
_NO_STATUS: Final = "Kafka has no such answer: a quota holds answers back, which is being slow"
_IS_A_FOLDER: Final = "a folder is not asked over a network"
_TAKES_ALL: Final = "a file takes any record"
_NO_LIMIT: Final = "an object may be larger than any batch"
_DOES_NOT_START: Final = "clew does not start, and says which folder it cannot use"
_WAITS_FOR_A_DISK: Final = "no time-out: a disk that hangs holds this sink and no other"
_NOT_TOLD_WHEN: Final = "the client of S3 does not say when to come back: the usual waits"
_WAITS_A_MINUTE: Final = "the time-out is a minute, three times over"


def _not(note: str) -> Cell:
    return Cell(promise="-", note=note)


def _over_http(at: str, *, told_at: str, credentials: str) -> dict[str, Cell]:
    """`at` is where no answer came from, `told_at` where one did."""
    return {
        "away at the start": Cell(says=at + f".*{_REFUSED}"),
        "away while many batches pile up": Cell(says=at + f".*{_REFUSED}"),
        "slower than the time-out": Cell(says=at + ".*(no answer in time|timed out)"),
        "429 with Retry-After": Cell(says=told_at + "429 "),
        "429 without Retry-After": Cell(says=told_at + "429 "),
        "413": Cell(letter="413 "),
        "half-written answer": Cell(says=at + ".*(without sending complete message body|IncompleteRead)"),
        "certificate of an unknown authority": Cell(says=at + r".*certificate verify failed.*; check tls\.ca$"),
        "certificate of another host": Cell(says=at + r".*is not valid for '127\.0\.0\.1'.*; check the address"),
        "wrong credentials": Cell(says=told_at + f"401 .*; check {credentials}$"),
        "restart in the middle": Cell(says=at + f".*({_REFUSED}|disconnected|reset|closed)"),
        "rollover in the middle": _not(_ONE_NODE),
        "kill -9 before the hand-over": Cell(),
        "kill -9 after the hand-over": Cell(),
        "kill -9 after the cursor moved": Cell(),
    }


_URL: Final = r"https?://127\.0\.0\.1:\d+"
_ZIPKIN: Final = f"{_URL}/api/v2/spans: "
_OTLP: Final = f"{_URL}/v1/logs: "
_BULK: Final = _over_http(
    _URL + r": (GET|POST) \S+: ", told_at=r"(GET )?\S+: ", credentials="api_key, or user and password"
)
_GRPC: Final = r"127\.0\.0\.1:\d+: "
_BROKER: Final = r"127\.0\.0\.1:\d+, topic t-\S+: "
_BUCKET: Final = r"s3://archive-\S+: .*"

MATRIX: Final[dict[str, dict[str, Cell]]] = {
    "elasticsearch": _BULK
    | {
        "refuses some records": Cell(letter=r"document_parsing_exception: .*\[attributes\.size\] of type \[long\]"),
        "413": Cell(letter="too large: 413 "),
        "rollover in the middle": Cell(says=_BULK["half-written answer"].says),
    },
    "zipkin": _over_http(_ZIPKIN, told_at=_ZIPKIN, credentials="headers")
    | {"refuses some records": Cell(letter="400 Bad Request: not this one")},
    "otlp_http": _over_http(_OTLP, told_at=_OTLP, credentials="headers")
    | {"refuses some records": Cell(letter="400 Bad Request: not this one")},
    "otlp_grpc": {
        "away at the start": Cell(says=_GRPC + f"UNAVAILABLE: .*{_REFUSED}"),
        "away while many batches pile up": Cell(says=_GRPC + f"UNAVAILABLE: .*({_REFUSED}|Socket closed|reset)"),
        "slower than the time-out": Cell(says=_GRPC + "DEADLINE_EXCEEDED: "),
        "refuses some records": Cell(letter="INVALID_ARGUMENT: not this one"),
        "429 with Retry-After": Cell(says=_GRPC + "RESOURCE_EXHAUSTED: too many requests"),
        "429 without Retry-After": Cell(says=_GRPC + "RESOURCE_EXHAUSTED: too many requests"),
        "413": Cell(letter="RESOURCE_EXHAUSTED: .*larger than max"),
        "half-written answer": Cell(says=_GRPC + "UNAVAILABLE: .*(Socket closed|reset|closed)"),
        "certificate of an unknown authority": Cell(says=_GRPC + r".*CERTIFICATE_VERIFY_FAILED.*; check tls\.ca$"),
        "certificate of another host": Cell(says=_GRPC + ".*Hostname Verification Check failed.*; check the address"),
        "wrong credentials": Cell(says=_GRPC + "UNAUTHENTICATED: .*; check headers$"),
        "restart in the middle": Cell(says=_GRPC + f"UNAVAILABLE: .*({_REFUSED}|Socket closed|reset)"),
        "rollover in the middle": _not(_ONE_NODE),
        "kill -9 before the hand-over": Cell(),
        "kill -9 after the hand-over": Cell(),
        "kill -9 after the cursor moved": Cell(),
    },
    "kafka": {
        "away at the start": Cell(says=_BROKER + f".*{_REFUSED}"),
        "away while many batches pile up": Cell(says=_BROKER + f".*({_REFUSED}|[Dd]isconnected)"),
        "slower than the time-out": Cell("at least once", note=_DOUBLES_AT_A_CRASH, says=_BROKER + ".*timed out"),
        "refuses some records": Cell(letter="too large: 12... bytes, max_message_bytes is 10000"),
        "429 with Retry-After": _not(_NO_STATUS),
        "429 without Retry-After": _not(_NO_STATUS),
        "413": Cell(says=_BROKER + ".*Message size too large; check max_message_bytes"),
        "half-written answer": Cell(),
        "certificate of an unknown authority": Cell(says=_BROKER + r".*verify failed.*; check security\.ca, and that"),
        "certificate of another host": Cell(says=_BROKER + r".*verify failed.*the certificate is for the address"),
        "wrong credentials": Cell(says=_BROKER + r".*[Aa]uthentication failed.*; check security\.user and \S+$"),
        "restart in the middle": Cell(says=_BROKER + f".*({_REFUSED}|[Dd]isconnected)"),
        "rollover in the middle": _not(_ONE_NODE),
        "kill -9 before the hand-over": Cell(),
        "kill -9 after the hand-over": Cell("at least once", note=_DOUBLES_AT_A_CRASH),
        "kill -9 after the cursor moved": Cell(),
    },
    "file": {
        "away at the start": _not(_DOES_NOT_START),
        "away while many batches pile up": Cell(says=r"/\S+: (Not a directory|File exists)"),
        "slower than the time-out": _not(_WAITS_FOR_A_DISK),
        "refuses some records": _not(_TAKES_ALL),
        **{fault: _not(_IS_A_FOLDER) for fault in FAULTS[FAULTS.index("429 with Retry-After") : -4]},
        "rollover in the middle": _not(_ONE_NODE),
        "kill -9 before the hand-over": Cell(),
        "kill -9 after the hand-over": Cell(),
        "kill -9 after the cursor moved": Cell(),
    },
    "s3": {
        "away at the start": Cell(says=_BUCKET + "(connect|NETWORK_CONNECTION)"),
        "away while many batches pile up": Cell(says=_BUCKET + "(connect|NETWORK_CONNECTION)"),
        "slower than the time-out": _not(_WAITS_A_MINUTE),
        "refuses some records": _not(_TAKES_ALL),
        "429 with Retry-After": Cell(note=_NOT_TOLD_WHEN, says=_BUCKET + "(SLOW_DOWN|SlowDown|429)"),
        "429 without Retry-After": Cell(says=_BUCKET + "(SLOW_DOWN|SlowDown|429)"),
        "413": _not(_NO_LIMIT),
        "half-written answer": Cell(says=_BUCKET + "NETWORK_CONNECTION"),
        "certificate of an unknown authority": Cell(says=_BUCKET + r"; check s3\.ca and s3\.endpoint$"),
        "certificate of another host": Cell(says=_BUCKET + r"; check s3\.ca and s3\.endpoint$"),
        "wrong credentials": Cell(says=_BUCKET + r"; check s3\.access_key and s3\.secret_key$"),
        "restart in the middle": Cell(says=_BUCKET + "(connect|NETWORK_CONNECTION)"),
        "rollover in the middle": _not(_ONE_NODE),
        "kill -9 before the hand-over": Cell(),
        "kill -9 after the hand-over": Cell(),
        "kill -9 after the cursor moved": Cell(),
    },
}


def as_markdown() -> str:
    """The matrix as docs show it: a row a fault, a column a sink, and notes where it is not `once`."""
    cells = {(sink, fault): MATRIX[sink][fault] for fault in FAULTS for sink in SINKS}
    notes = list(dict.fromkeys(cell.note for cell in cells.values() if cell.note))

    def told(cell: Cell) -> str:
        return f"{cell.promise} ({notes.index(cell.note) + 1})" if cell.note else cell.promise

    rows = [f"| {fault} | {' | '.join(told(cells[sink, fault]) for sink in SINKS)} |" for fault in FAULTS]
    head = [f"| | {' | '.join(sink.replace('_', ' ') for sink in SINKS)} |", f"|---{'|---' * len(SINKS)}|"]
    return "\n".join([*head, *rows, "", *(f"{number}. {note}." for number, note in enumerate(notes, start=1))])
