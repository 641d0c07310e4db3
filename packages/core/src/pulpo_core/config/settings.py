"""What can be set, as frozen values: `Settings` of a process, `RouteSettings` of each of its routes.

They can be made in Python as well as loaded (`load_settings`). Each field knows how its value is
read and what it is for: the loader, the sample file and the reference of settings are made of that.
"""

# ruff: noqa: RUF009, TRY004 - `setting` makes a field, and what a reader does not accept is a ValueError

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs

from .readers import READER, optional, real, setting, span, table, text, texts, variables, whole, word, yes_or_no

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("console", "json")
FONTS: Final = ("block", "plain")


@attrs.frozen(kw_only=True)
class HandlerSettings:
    """One handler: in a file ``"jobs:send_email"``, or a table when there is more to say."""

    call: str = setting(text, "The handler, as MODULE:OBJECT.", default="", example="jobs:send_email")
    timeout: timedelta | None = setting(optional(span), "How long one message may take.", example="30s")
    runs_in: str | None = setting(
        optional(word("process")), "A process, for what computes more than it waits.", example="process"
    )


def _handler(value: Any) -> HandlerSettings:
    if isinstance(value, HandlerSettings):
        return value
    if isinstance(value, str):
        value = {"call": value}
    if not isinstance(value, Mapping):
        raise ValueError(f"expected MODULE:OBJECT or a table, not {value!r:.60}")
    known = attrs.fields_dict(HandlerSettings)
    for name, each in value.items():
        if name not in known:
            raise ValueError(f"unknown {name!r}; known: {', '.join(known)}")
        known[name].metadata[READER](each)
    if "call" not in value:
        raise ValueError("expected 'call', which names the handler as MODULE:OBJECT")
    return HandlerSettings(**value)


@attrs.frozen(kw_only=True)
class BackoffSettings:
    """How the delays between attempts grow; see `Backoff`."""

    base: timedelta | None = setting(optional(span), "Longest delay after the first attempt.", example="5s")
    factor: float | None = setting(optional(real), "Growth for each further attempt.", example=2.0)
    cap: timedelta | None = setting(optional(span), "Longest delay of all.", example="15m")
    jitter: str | None = setting(
        optional(word("none", "equal", "full")), "How much of a delay is left to chance.", example="equal"
    )


@attrs.frozen(kw_only=True)
class PolicySettings:
    """How failures are met; see `Policy`."""

    max_attempts: int | None = setting(
        optional(whole(0)), "Deliveries before a failing message is buried; 0 is unlimited.", example=10
    )
    max_lost: int | None = setting(
        optional(whole(0)), "Deliveries without any outcome before a message is buried.", example=3
    )
    backoff: BackoffSettings = attrs.field(factory=BackoffSettings)
    max_hint: timedelta | None = setting(optional(span), "Longest delay that a handler can ask for.", example="12h")
    fatal: tuple[str, ...] = setting(
        texts, "Exceptions that bury at once, as MODULE:CLASS.", default=(), example=("ValueError", "jobs:Unpayable")
    )
    transient: tuple[str, ...] = setting(
        texts, "Exceptions that are worth a retry, as MODULE:CLASS.", default=(), example=("ConnectionError",)
    )
    reject: tuple[str, ...] = setting(
        texts, "Exceptions that acknowledge, as MODULE:CLASS.", default=(), example=("jobs:Unsubscribed",)
    )
    classify: str | None = setting(
        optional(text), "Says what an exception means, as MODULE:CALLABLE.", example="jobs:severity"
    )
    on_expired: str | None = setting(
        optional(word("bury", "drop")), "What becomes of messages whose time is over: bury or drop.", example="bury"
    )
    unroutable_grace: timedelta | None = setting(
        optional(span), "How long after publishing a message without handler is retried.", example="10m"
    )
    max_age: timedelta | None = setting(
        optional(span), "No retry starts later than this after publishing.", example="7d"
    )


@attrs.frozen(kw_only=True)
class BreakerSettings:
    """Stops receiving while handlers do nothing but fail; off unless one of them is set; see `Breaker`."""

    failures: int | None = setting(optional(whole(1)), "Failed handlings in a row that stop receiving.", example=5)
    pause: timedelta | None = setting(optional(span), "How long nothing is received then.", example="30s")


@attrs.frozen(kw_only=True)
class RouteSettings:
    """One route; see `Route`. What is `None` is left to its default there."""

    queue: str | None = setting(
        optional(text),
        "The queue, as a URL; the process's queue unless given.",
        example="file:///var/spool/shop.db?queue=mail",
    )
    handlers: Mapping[str, HandlerSettings] = setting(
        table(_handler),
        "For each request type its handler, as MODULE:OBJECT.",
        default={},
        example={"send_email": "jobs:send_email"},
    )
    default_handler: HandlerSettings | None = setting(
        optional(_handler),
        "Handles whatever has no handler of its own, as MODULE:OBJECT.",
        example="jobs:anything_else",
    )
    policy: PolicySettings = attrs.field(factory=PolicySettings)
    translator: str | None = setting(
        optional(text), "The format: pulpo, json, text, sns, eventbridge, s3, or MODULE:OBJECT.", example="pulpo"
    )
    error_handler: str | None = setting(
        optional(text), "Asked about every failure before the policy, as MODULE:CALLABLE.", example="jobs:on_error"
    )
    concurrency: int | None = setting(optional(whole(1)), "Handlers that run at once.", example=10)
    prefetch: int | None = setting(optional(whole(0)), "Messages held beyond those.", example=0)
    timeout: timedelta | None = setting(optional(span), "How long one message may take.", example="5m")
    wait: timedelta | None = setting(optional(span), "How long one receive waits at the queue.", example="10s")
    rate_limit: str | None = setting(
        optional(text), "Messages in a time at most, such as 100/s or 30/m.", example="100/s"
    )
    breaker: BreakerSettings = attrs.field(factory=BreakerSettings)
    weight: int | None = setting(optional(whole(1)), "Its share of the process's concurrency.", example=1)
    falsy_retries: bool = setting(yes_or_no, "Whether any falsy result retries, as in loafer 2.", default=False)
    middleware: tuple[str, ...] = setting(
        texts, "Wraps handling, outermost first, as MODULE:OBJECT.", default=(), example=("jobs:sessions",)
    )
    publish_middleware: tuple[str, ...] = setting(
        texts, "Wraps the publishing of follow-up messages, as MODULE:OBJECT.", default=(), example=("jobs:stamp",)
    )
    needs: tuple[str, ...] = setting(
        texts, "Capabilities that the queue must have, such as priority.", default=(), example=("priority",)
    )
    adapter: str | None = setting(
        optional(text), "Opens the queue instead of the installed adapter, as MODULE:OBJECT.", example="jobs:adapter"
    )


@attrs.frozen(kw_only=True)
class BannerSettings:
    """Letters at the start of a worker."""

    enabled: bool = setting(yes_or_no, "Whether there are any.", default=False)
    name: str = setting(text, "What they say.", default="pulpo")
    font: str = setting(word(*FONTS), f"How they look: {' or '.join(FONTS)}.", default="block")


@attrs.frozen(kw_only=True)
class Settings:
    """A process and its routes. What is `None` is left to its default in `Dispatcher`."""

    app: str | None = setting(
        optional(text), "The application that is run when none is named, as MODULE:OBJECT.", example="jobs:routes"
    )
    queue: str | None = setting(
        optional(text),
        "The queue of commands and routes that name none, as a URL.",
        example="file:///var/spool/shop.db?queue=mail",
    )
    routes: Mapping[str, RouteSettings] = attrs.field(factory=dict)
    concurrency: int | None = setting(optional(whole(1)), "Handlers that run at once over all routes.", example=100)
    threads: int | None = setting(optional(whole(1)), "Threads for handlers that are plain functions.", example=20)
    process_pool: int | None = setting(optional(whole(1)), "Processes for handlers that run in one.", example=4)
    grace: timedelta | None = setting(
        optional(span), "How long handlers may go on once the worker is to stop.", example="25s"
    )
    thread_grace: timedelta | None = setting(
        optional(span), "How long a handler in a thread may go on after its timeout.", example="30s"
    )
    once: bool = setting(yes_or_no, "Stop after one receive of each route.", default=False)
    burst: bool = setting(yes_or_no, "Stop when nothing is ready any more.", default=False)
    max_messages: int | None = setting(optional(whole(1)), "Stop after so many messages.", example=1000)
    max_empty_polls: int | None = setting(
        optional(whole(1)), "Stop after so many receives without a message.", example=5
    )
    poll_interval: timedelta | None = setting(optional(span), "The pause between two of those.", example="5s")
    processes: int = setting(whole(1), "Processes that run the same routes.", default=1)
    log_format: str = setting(word(*LOG_FORMATS), "Log lines for people or for machines.", default="console")
    log_level: str | None = setting(optional(word(*LOG_LEVELS)), "The least level that is logged.", example="info")
    output_buffering: bool = setting(
        yes_or_no, "Whether log lines are written in blocks, errors at once.", default=False
    )
    health_host: str | None = setting(
        optional(text), "Where the health port listens; 127.0.0.1 unless given.", example="127.0.0.1"
    )
    health_port: int | None = setting(optional(whole(0, 65535)), "Serves /livez, /readyz and /metrics.", example=8080)
    traces: bool = setting(yes_or_no, "Whether OpenTelemetry is told of what is published and handled.", default=False)
    control: bool = setting(yes_or_no, "Whether pause, resume and status reach the worker.", default=True)
    uvloop: bool = setting(yes_or_no, "Whether to run on uvloop, where it is installed.", default=False)
    banner: BannerSettings = attrs.field(factory=BannerSettings)
    environment: Mapping[str, str] = setting(
        variables,
        "Environment variables for handlers and drivers, unless they are set already.",
        default={},
        secret=True,
        example={"AWS_PROFILE": "shop"},
    )
