import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator

from clew.propagation import (
    Parent,
    format_baggage,
    format_traceparent,
    parse_b3,
    parse_baggage,
    parse_traceparent,
    parse_tracestate,
    read_parent,
)

TRACE = b"0af7651916cd43dd8448eb211c80319c"
SPAN = b"b7ad6b7169203331"
PARENT = Parent(int(TRACE, 16), int(SPAN, 16), 1)
NOT_SAMPLED = PARENT._replace(trace_flags=0)


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (b"00-%b-%b-01", PARENT),
        (b"00-%b-%b-00", NOT_SAMPLED),
        (b"00-%b-%b-03", PARENT._replace(trace_flags=3)),
        (b"00-%b-%b-ff", PARENT._replace(trace_flags=3)),
        (b" 00-%b-%b-01 ", PARENT),
        (b"cc-%b-%b-01", PARENT),
        (b"cc-%b-%b-01-what-the-future-brings", PARENT),
        (b"00-%b-%b-01-more", None),
        (b"cc-%b-%b-01.more", None),
        (b"ff-%b-%b-01", None),
        (b"0-%b-%b-01", None),
        (b"00-%b-%b-1", None),
        (b"00-%b-%b", None),
        (b"00_%b_%b_01", None),
    ],
)
def test_a_traceparent_is_read_as_w3c_says(header: bytes, parent: Parent | None) -> None:
    assert parse_traceparent(header % (TRACE, SPAN)) == parent


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"garbage",
        b"00-" + TRACE.upper() + b"-" + SPAN + b"-01",
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"00-" + b"0af7651916cd43dd8448eb211c8031_c" + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b" 7ad6b716920333" + b"-01",
        b"\xff" * 55,
    ],
)
def test_an_invalid_traceparent_is_none(header: bytes) -> None:
    assert parse_traceparent(header) is None


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_what_is_written_is_read_again(trace_id: int, span_id: int, flags: int) -> None:
    written = format_traceparent(trace_id, span_id, flags)

    assert parse_traceparent(written.encode()) == Parent(trace_id, span_id, flags)


@given(st.binary(max_size=80))
def test_no_header_raises(header: bytes) -> None:
    names = (b"traceparent", b"tracestate", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags")

    read_parent(dict.fromkeys(names, header))
    parse_baggage(header)
    parse_tracestate(header)


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (TRACE + b"-" + SPAN, PARENT),
        (TRACE + b"-" + SPAN + b"-1", PARENT),
        (TRACE + b"-" + SPAN + b"-d", PARENT),
        (TRACE + b"-" + SPAN + b"-0", NOT_SAMPLED),
        (TRACE + b"-" + SPAN + b"-1-" + b"1" * 16, PARENT),
        (TRACE[16:] + b"-" + SPAN, PARENT._replace(trace_id=int(TRACE[16:], 16))),
        (b"0", Parent(0, 0, 0)),
        (b"1", None),
        (TRACE + b"-" + SPAN[1:], None),
        (TRACE[1:] + b"-" + SPAN, None),
        (b"0" * 32 + b"-" + SPAN, None),
        (b"", None),
    ],
)
def test_a_single_b3_header_is_read(header: bytes, parent: Parent | None) -> None:
    assert parse_b3(header) == parent


@pytest.mark.parametrize(
    ("headers", "parent"),
    [
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN}, PARENT),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-sampled": b"0"}, NOT_SAMPLED),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-sampled": b"false"}, NOT_SAMPLED),
        ({b"x-b3-traceid": TRACE, b"x-b3-spanid": SPAN, b"x-b3-sampled": b"0", b"x-b3-flags": b"1"}, PARENT),
        ({b"x-b3-sampled": b"0"}, Parent(0, 0, 0)),
        ({b"x-b3-sampled": b"1"}, None),
        ({b"x-b3-traceid": TRACE}, None),
    ],
)
def test_many_b3_headers_are_read(headers: dict[bytes, bytes], parent: Parent | None) -> None:
    assert read_parent(headers) == parent


def test_w3c_wins_over_b3_and_b3_over_nothing() -> None:
    other = b"1" * 32 + b"-" + b"2" * 16
    valid = b"00-" + TRACE + b"-" + SPAN + b"-01"

    assert read_parent({b"traceparent": valid, b"b3": other}) == PARENT
    assert read_parent({b"traceparent": b"bad", b"b3": TRACE + b"-" + SPAN, b"tracestate": b"a=1"}) == PARENT


@pytest.mark.parametrize(
    ("header", "state"),
    [
        (b"a=1", "a=1"),
        (b"a=1 ,\tb@c=2,", "a=1,b@c=2"),
        (b",".join(b"k%d=v" % number for number in range(32)), ",".join(f"k{number}=v" for number in range(32))),
        (b",".join(b"k%d=v" % number for number in range(33)), None),
        (b"", None),
        (b"UPPER=1", None),
        (b"a=1=2", None),
        (b"a=\xe9", None),
    ],
)
def test_a_tracestate_is_kept_as_it_is_or_not_at_all(header: bytes, state: str | None) -> None:
    assert parse_tracestate(header) == state


def test_baggage_is_read_without_properties_and_what_is_invalid() -> None:
    header = b"a=1;p=2 , b = x%20y%2B+ ,novalue, bad key=1,=x"

    assert parse_baggage(header) == {"a": "1", "b": "x y++"}


def test_baggage_has_limits() -> None:
    many = format_baggage({f"k{number}": "v" for number in range(100)})
    long = format_baggage({"a": "x" * 5_000, "b": "y" * 5_000})

    assert many.count(",") == 63
    assert long == "a=" + "x" * 5_000
    assert parse_baggage(b"a=" + b"x" * 9_000) == {}


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9_.]{0,10}", fullmatch=True), st.text(max_size=30), max_size=5))
def test_baggage_means_the_same_to_opentelemetry(members: dict[str, str]) -> None:
    written = format_baggage(members)

    read = W3CBaggagePropagator().extract({"baggage": written})

    assert parse_baggage(written.encode()) == members
    # OpenTelemetry's own reader strips values, and takes an empty one for none.
    assert {key: str(value) for key, value in baggage.get_all(read).items()} == {
        key: value.strip() for key, value in members.items()
    }
