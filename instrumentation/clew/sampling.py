"""Which traces are kept: OpenTelemetry's parent-based and ratio samplers, and what is kept in spite of them.

https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling. The decision is made where a trace enters this process;
the spans below follow it.
"""

from typing import Final, Protocol

from clew.propagation import RANDOM, SAMPLED
from clew.runtime import RUNTIME
from clew.settings import Settings
from clew.spans import STATUS_ERROR, LightSpan

ROOT_FLAGS: Final = SAMPLED | RANDOM
"""A sampled trace that begins here; its ID is random (W3C Trace Context level 2)."""

KEPT_BECAUSE: Final = "clew.kept_because"
"""Attribute of a request's first span here that was not sampled, and is kept all the same: `error` or `slow`."""

_LOW_64_BITS: Final = (1 << 64) - 1
_MAX_HELD: Final = 512
"""Spans of one unsampled request that wait for how it ends; a large request is kept in part."""


class Sampler(Protocol):
    """Decides on the flags of a span that begins a trace, or that continues a remote one."""

    def root_flags(self, trace_id: int) -> int:
        """The flags of a trace that begins here."""

    def remote_flags(self, trace_id: int, flags: int) -> int:
        """The flags of a trace that a caller has begun, and decided on by `flags`."""


class RatioSampler:
    """By the low half of the trace ID, so that all services with the same ratio decide alike."""

    def __init__(self, ratio: float, *, follows_caller: bool) -> None:
        self._bound = round(ratio * (_LOW_64_BITS + 1))
        self._follows_caller = follows_caller

    def root_flags(self, trace_id: int) -> int:
        """As the ratio says."""
        return ROOT_FLAGS if trace_id & _LOW_64_BITS < self._bound else RANDOM

    def remote_flags(self, trace_id: int, flags: int) -> int:
        """As the caller has decided, or by the ratio again."""
        if self._follows_caller:
            return flags
        return flags & RANDOM | (SAMPLED if trace_id & _LOW_64_BITS < self._bound else 0)


def sampler_of(settings: Settings) -> Sampler | None:
    """The sampler that the settings name. None: every trace that begins here is kept, callers decide on theirs."""
    ratio = settings.sample_ratio
    if settings.sampler.endswith("always_on"):
        ratio = 1.0
    elif settings.sampler.endswith("always_off"):
        ratio = 0.0
    follows_caller = settings.sampler.startswith("parentbased_")
    return None if follows_caller and ratio == 1.0 else RatioSampler(ratio, follows_caller=follows_caller)


class Held:
    """The spans of an unsampled request, until it is known whether the request was worth keeping after all.

    Only this process's own part of it can be kept: callers and callees have decided by themselves.
    """

    __slots__ = ("_is_kept", "_root", "_spans")

    def __init__(self, root: LightSpan) -> None:
        self._root = root
        self._spans: list[LightSpan] = []
        self._is_kept: bool | None = None

    def add(self, span: LightSpan) -> None:
        """Take a span that has ended; the root's end decides for all of them."""
        if self._is_kept:
            RUNTIME.put_span(span)
        elif span is self._root:
            self._decide(span)
        elif self._is_kept is None and len(self._spans) < _MAX_HELD:
            self._spans.append(span)

    def _decide(self, root: LightSpan) -> None:
        reason = _reason_to_keep(root, RUNTIME.settings)
        self._is_kept = reason is not None
        held, self._spans = self._spans, []
        if reason is not None:
            root.attributes[KEPT_BECAUSE] = reason
            for span in (*held, root):
                RUNTIME.put_span(span)


def _reason_to_keep(root: LightSpan, settings: Settings) -> str | None:
    if settings.keep_errors and root.status == STATUS_ERROR:
        return "error"
    slow_s = settings.keep_slower_than_s
    if slow_s is not None and root.end_ns is not None and root.end_ns - root.start_ns >= slow_s * 1e9:
        return "slow"
    return None
