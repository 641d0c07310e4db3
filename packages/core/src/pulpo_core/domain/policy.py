"""How failures are met: `Policy`, as plain data with two questions it can answer before any handler runs.

What it decides after a handler is the table in `decision`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import attrs

from .backoff import Backoff
from .capabilities import Capabilities
from .errors import ConfigurationError
from .fields import as_span, is_span, whole_from
from .outcome import Exhausted, Expired

DEFAULT_MAX_ATTEMPTS: Final = 10
MAX_HINT: Final = timedelta(hours=12)  # as long as SQS can hide a message; a longer wish is a schedule, not a retry


class Severity(StrEnum):
    """What an exception means."""

    TRANSIENT = "transient"  # may succeed next time
    FATAL = "fatal"  # will fail every time: bury at once
    REJECT = "reject"  # the message is not wanted: acknowledge


class OnExpired(StrEnum):
    """What becomes of a message whose time is over."""

    BURY = "bury"
    DROP = "drop"

    @classmethod
    def _missing_(cls, value: object) -> OnExpired:
        raise ConfigurationError(f"on_expired: expected one of {', '.join(cls)}, not {value!r:.40}")


#: A classifier may answer with a severity, a least delay (which means transient), or `None` for no opinion.
Classifier = Callable[[BaseException], Severity | timedelta | float | None]

ErrorTypes = tuple[type[BaseException], ...]


def _as_tuple(value: Iterable[type[BaseException]] | type[BaseException]) -> ErrorTypes:
    return tuple(value) if isinstance(value, Iterable) and not isinstance(value, str) else (value,)


def _error_types(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    for each in value:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise ConfigurationError(f"{attribute.name}: expected exception classes, not {each!r:.60}")


_attempts: Final = whole_from(0, note="unlimited")


@attrs.frozen(kw_only=True, slots=True)
class Policy:
    """How failures are met. Every field has a default fit for production.

    Attributes:
        max_attempts: deliveries before a failing message is buried; 0 for unlimited; `None` for
            10, or for what the queue itself allows if that is less.
        max_lost: deliveries that ended without any outcome before a message is buried, where the
            queue can tell; 0 leaves them to *max_attempts*.
        backoff: delays between attempts.
        max_hint: longest delay that a handler or an exception can ask for.
        fatal, transient, reject: exception classes and what they mean; the nearest class in the
            exception's line of descent wins, and what is not listed is transient.
        classify: asked before the lists; see `Classifier`.
        on_expired: what becomes of messages whose time is over.
        unroutable_grace: how long after publishing a message without handler is retried, for
            deployments in which producers may be ahead of workers; 0 buries at once.
        max_age: a retry that would start later than this after publishing is buried instead.
    """

    max_attempts: int | None = attrs.field(default=None, validator=attrs.validators.optional(_attempts))
    max_lost: int = attrs.field(default=0, validator=_attempts)
    backoff: Backoff = attrs.field(factory=Backoff)
    max_hint: timedelta = attrs.field(default=MAX_HINT, converter=as_span, validator=is_span)
    fatal: ErrorTypes = attrs.field(default=(), converter=_as_tuple, validator=_error_types)
    transient: ErrorTypes = attrs.field(default=(), converter=_as_tuple, validator=_error_types)
    reject: ErrorTypes = attrs.field(default=(), converter=_as_tuple, validator=_error_types)
    classify: Classifier | None = None
    on_expired: OnExpired = attrs.field(default=OnExpired.BURY, converter=OnExpired)
    unroutable_grace: timedelta = attrs.field(default=timedelta(), converter=as_span, validator=is_span)
    max_age: timedelta | None = attrs.field(
        default=None,
        converter=attrs.converters.optional(as_span),
        validator=attrs.validators.optional(is_span),
    )

    def __attrs_post_init__(self) -> None:
        listed = [*self.fatal, *self.transient, *self.reject]
        for error in listed:
            if listed.count(error) > 1:
                raise ConfigurationError(f"{error.__name__} is listed twice among fatal, transient and reject")

    @property
    def attempts_limit(self) -> float:
        """Deliveries allowed, ``inf`` when unlimited."""
        limit = DEFAULT_MAX_ATTEMPTS if self.max_attempts is None else self.max_attempts
        return limit or math.inf

    def listed_severity(self, error: BaseException) -> Severity:
        """The severity of the nearest listed class; transient when none is listed."""
        for cls in type(error).__mro__:
            for severity, types in (
                (Severity.FATAL, self.fatal),
                (Severity.TRANSIENT, self.transient),
                (Severity.REJECT, self.reject),
            ):
                if cls in types:
                    return severity
        return Severity.TRANSIENT


def guard(
    policy: Policy,
    *,
    attempt: int,
    now: datetime,
    lost: int = 0,
    slack: int = 0,
    expiration: datetime | None = None,
) -> Expired | Exhausted | None:
    """Whether a handler may run: `None` when it may, else the outcome of not running it.

    Asked at receipt, and again just before the handler starts. *slack* is the queue's
    `Capabilities.attempt_slack`: giving a message back unrun counts as an attempt on some queues.
    """
    if expiration is not None and now > expiration:
        return Expired(expiration)
    if attempt > policy.attempts_limit + slack or (policy.max_lost and lost >= policy.max_lost):
        return Exhausted(attempt, lost)
    return None


def fit(policy: Policy, capabilities: Capabilities) -> Policy:
    """The policy as a queue with its own limit of deliveries can honour it.

    Raises:
        ConfigurationError: *max_attempts* was given and the queue would set messages aside, without
            a reason, before the policy does.
    """
    limit = capabilities.max_receives
    if limit is None or policy.attempts_limit <= limit:
        return policy
    if policy.max_attempts is None:
        return attrs.evolve(policy, max_attempts=limit)
    raise ConfigurationError(
        f"max_attempts is {policy.max_attempts or 'unlimited'}, but the queue itself sets a message aside after"
        f" {limit} deliveries, without a reason: raise its limit above max_attempts, or lower max_attempts to {limit}"
    )
