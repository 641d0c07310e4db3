"""Words for what a policy decides. They say what they are given, and decide nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from pulpo_cli.units import span
from pulpo_core import Ack, Bury, Reason, Release, Retry, Settlement
from pulpo_core.foresight import Prospect, Stretch

#: What happens, by the word of the event; ``{}`` is its detail.
WHEN: Final[Mapping[str, str]] = {
    "returned": "the handler returns",
    "raised": "it raises any other exception",
    "raised-fatal": "it raises {}",
    "raised-transient": "it raises {}",
    "raised-reject": "it raises {}",
    "raised-retry-message": "it raises RetryMessage",
    "raised-bury-message": "it raises BuryMessage",
    "raised-reject-message": "it raises RejectMessage",
    "raised-keep-message": "it raises KeepMessage",
    "returned-none": "it returns None, or nothing",
    "returned-false": "it returns False",
    "returned-falsy": "it returns what is empty or 0",
    "returned-ack": "it returns Ack()",
    "returned-retry": "it returns Retry()",
    "returned-bury": "it returns Bury()",
    "returned-release": "it returns Release()",
    "error-handler-truthy": "it fails, and the error handler says yes",
    "error-handler-falsy": "it fails, and the error handler says no",
    "timed-out": "it takes longer than {}",
    "thread-abandoned": "its thread does not end in time",
    "untranslatable": "the message cannot be read",
    "unroutable": "no handler takes its type",
    "expired": "it expires before it is handled",
    "would-expire": "it would expire before a retry",
    "shutdown": "the worker is stopped meanwhile",
    "lease-lost": "the lease is lost meanwhile",
    "lease-lost-after-work": "the lease is lost, but the work is done",
    "group-failed": "one before it in its group fails",
}

#: How many delays are told before the last one.
_TOLD: Final = 3

_BECAUSE: Final[Mapping[Reason, str]] = {
    Reason.REJECTED: "removed, as not wanted",
    Reason.LATE_ACK: "acknowledged all the same",
    Reason.EXPIRED: "dropped",
    Reason.WOULD_EXPIRE: "dropped",
}


def when(prospect: Prospect) -> str:
    """What happens."""
    return WHEN[prospect.event].format(prospect.detail)


def then(prospect: Prospect) -> str:
    """What is done about it, attempt by attempt."""
    several = len(prospect.stretches) > 1 or prospect.stretches[0].delays
    return "; ".join(_attempts(stretch, several=bool(several)) + done(stretch) for stretch in prospect.stretches)


def rows(prospects: Sequence[Prospect]) -> list[tuple[str, str]]:
    """What happens and what is done about it; what is done at several attempts is told once and referred to then."""
    told: dict[str, str] = {}
    made = []
    for each in prospects:
        what = then(each)
        first = told.setdefault(what, when(each))
        is_long = len(each.stretches) > 1
        made.append((when(each), what if first == when(each) or not is_long else f"as when {first}"))
    return made


def _attempts(stretch: Stretch, *, several: bool) -> str:
    if not several:
        return ""
    if stretch.last is None:
        return "every time: " if stretch.first == 1 else f"from attempt {stretch.first} on: "
    if stretch.first == stretch.last:
        return f"attempt {stretch.first}: "
    return f"attempts {stretch.first} to {stretch.last}: "


def done(stretch: Stretch) -> str:
    """What is done after the attempts of *stretch*."""
    settlement = stretch.settlement
    if settlement is None:
        return "nothing is settled: the queue hands it out again"
    return _DONE[type(settlement)](stretch)


def _acknowledged(stretch: Stretch) -> str:
    return _BECAUSE.get(stretch.reason, "acknowledged")


def _buried(stretch: Stretch) -> str:
    if stretch.reason is Reason.ASKED:
        return "buried, for the reason that is given"
    return f"buried as {stretch.reason}"


_DONE: Final[Mapping[type[Settlement], Callable[[Stretch], str]]] = {
    Ack: _acknowledged,
    Retry: lambda stretch: f"retried after {delays(stretch.delays)}",
    Bury: _buried,
    Release: lambda _: "given back at once, for another worker",
}


def delays(pairs: Sequence[tuple[timedelta, timedelta]]) -> str:
    """The delays after one attempt after another."""
    told = [_range(*pair) for pair in pairs]
    if len(set(told)) == 1:
        return told[0]
    if len(told) <= _TOLD + 1:
        return ", ".join(told)
    return f"{', '.join(told[:_TOLD])}, … {told[-1]}"


def _range(shortest: timedelta, longest: timedelta) -> str:
    low, high = span(shortest), span(longest)
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    return f"{number}–{high}" if high.split()[1:] == [unit] else f"{low}–{high}"


#: The verb of a settlement, for programs.
VERBS: Final[Mapping[type[Settlement] | type[None], str]] = {
    Ack: "ack",
    Retry: "retry",
    Bury: "bury",
    Release: "release",
    type(None): "leave",
}
