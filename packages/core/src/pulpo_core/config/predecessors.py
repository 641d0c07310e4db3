"""What loafer and pulpo-messaging called their settings, and what those are called here: one table for the code that
takes them over and for the page that documents them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs

from .readers import real, span, whole, yes_or_no
from .settings import FONTS

#: The route that predecessors had, when they did not name it.
ROUTE: Final = "default"

Predecessor = Literal["loafer", "pulpo-messaging"]


@attrs.frozen
class Translation:
    """A setting of a predecessor.

    Attributes:
        old: its name there; tables with dots.
        new: the setting that it is now, with ``default`` for the name of the route; `None` when there is none.
        note: what else a person should know.
        read: makes the new value of the old one; the text of a `ValueError` says why it cannot be.
    """

    of: Predecessor
    old: str
    new: str | None
    note: str = ""
    read: Callable[[Any], Any] | None = None


def _reference(value: Any) -> str:
    """``pkg.mod.name`` as ``pkg.mod:name``."""
    module, dot, name = str(value).rpartition(".")
    if not dot or ":" in str(value):
        raise ValueError(f"expected a dotted name, not {value!r:.60}")
    return f"{module}:{name}"


def _translator(value: Any) -> str:
    if str(value).startswith("loafer."):
        return "sns" if "SNS" in str(value) else "json"
    return _reference(value)


def _consumer(value: Any) -> None:
    if not str(value).startswith("loafer."):
        raise ValueError(f"{value!r:.60} is a consumer of your own: it has to become an adapter")


def _level(value: Any) -> str:
    levels = {"notset": "debug", "warn": "warning", "critical": "error", "fatal": "error"}
    return levels.get(str(value).lower(), str(value).lower())


def _polls(value: Any) -> int | None:
    return whole(0)(value) or None


def _switch(value: Any) -> bool:
    return True if str(value).lower() == "t" else yes_or_no(value)


def _font(value: Any) -> str:
    return str(value) if value in FONTS else "block"


def _none_or(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value in (None, "") else read(value)


_QUEUE: Final = f"routes.{ROUTE}.queue"
_ATTEMPTS: Final = f"routes.{ROUTE}.policy.max_attempts"

TRANSLATIONS: Final = (
    Translation("loafer", "LOAFER_LOGLEVEL", "log_level", "", _level),
    Translation(
        "loafer",
        "LOAFER_LOG_FORMAT",
        None,
        "`log_format` is `console` or `json`; a format of one's own is not taken over",
    ),
    Translation("loafer", "LOAFER_MAX_JOBS", "concurrency", "", whole(1)),
    Translation("loafer", "LOAFER_MAX_THREAD_POOL", "threads", "", _none_or(whole(1))),
    Translation("loafer", "LOAFER_DEFAULT_ROUTE_NAME", f"routes.{ROUTE}", "the name of the table"),
    Translation("loafer", "LOAFER_DEFAULT_ROUTE_SOURCE", _QUEUE, "`sqs://NAME`, or `sqs://?url=https://…`"),
    Translation(
        "loafer",
        "LOAFER_DEFAULT_ROUTE_HANDLER",
        f"routes.{ROUTE}.default_handler",
        "`jobs.send` is `jobs:send`",
        _reference,
    ),
    Translation(
        "loafer",
        "LOAFER_DEFAULT_MESSAGE_TRANSLATOR_CLASS",
        f"routes.{ROUTE}.translator",
        "loafer's own are `json` (also when it is not set) and `sns`",
        _translator,
    ),
    Translation(
        "loafer",
        "LOAFER_DEFAULT_CONSUMER_CLASS",
        _QUEUE,
        "the scheme of the URL says which adapter receives",
        _consumer,
    ),
    Translation("loafer", "LOAFER_DEFAULT_CONSUMER_OPTIONS.WaitTimeSeconds", f"routes.{ROUTE}.wait", "", span),
    Translation("loafer", "LOAFER_DEFAULT_CONSUMER_OPTIONS.VisibilityTimeout", _QUEUE, "`visibility=` in the URL"),
    Translation(
        "loafer",
        "LOAFER_DEFAULT_CONSUMER_OPTIONS.MaxNumberOfMessages",
        None,
        "as many are received as there are free slots",
    ),
    Translation("pulpo-messaging", "queue_adapter_type", _QUEUE, "the scheme of the URL"),
    Translation(
        "pulpo-messaging",
        "file_queue_adapter.base_path",
        _QUEUE,
        "`file://BASE_PATH/pulpo.db`; `pulpo import-legacy` moves what waits there",
    ),
    Translation(
        "pulpo-messaging", "file_queue_adapter.max_number_of_attempts", _ATTEMPTS, "0 is unlimited, as it was", whole(0)
    ),
    Translation("pulpo-messaging", "file_queue_adapter.message_format", None, "always JSON"),
    Translation(
        "pulpo-messaging",
        "file_queue_adapter.skip_random_messages_range",
        None,
        "workers do not get into each other's way",
    ),
    Translation(
        "pulpo-messaging", "file_queue_adapter.enable_archive", None, "`archive=` in the URL keeps finished messages"
    ),
    Translation(
        "pulpo-messaging", "file_queue_adapter.enable_history", None, "`archive=` in the URL keeps finished messages"
    ),
    Translation("pulpo-messaging", "beanstalkd_queue_adapter.host", _QUEUE, "`beanstalkd://HOST:PORT/TUBE`"),
    Translation("pulpo-messaging", "beanstalkd_queue_adapter.port", _QUEUE, "as above", whole(1, 65535)),
    Translation("pulpo-messaging", "beanstalkd_queue_adapter.default_tube", _QUEUE, "as above"),
    Translation("pulpo-messaging", "beanstalkd_queue_adapter.socket_timeout", _QUEUE, "`timeout=` in the URL", real),
    Translation("pulpo-messaging", "beanstalkd_queue_adapter.reserve_timeout", f"routes.{ROUTE}.wait", "", span),
    Translation(
        "pulpo-messaging",
        "beanstalkd_queue_adapter.max_number_of_attempts",
        _ATTEMPTS,
        "0 is unlimited, as it was",
        whole(0),
    ),
    Translation("pulpo-messaging", "beanstalkd_queue_adapter.encoding", None, "always UTF-8"),
    Translation(
        "pulpo-messaging",
        "shutdown_after_number_of_empty_iterations",
        "max_empty_polls",
        "5 there when it is not set, and never here",
        _polls,
    ),
    Translation("pulpo-messaging", "sleep_duration", "poll_interval", "", span),
    Translation("pulpo-messaging", "enable_output_buffering", "output_buffering", "", _switch),
    Translation(
        "pulpo-messaging", "enable_statman_reporting", None, "`pulpo stats`, `pulpo top`, and /metrics at `health_port`"
    ),
    Translation("pulpo-messaging", "banner.enable", "banner.enabled", "", _switch),
    Translation("pulpo-messaging", "banner.name", "banner.name", "", str),
    Translation(
        "pulpo-messaging", "banner.font", "banner.font", "`block` or `plain`; other fonts become `block`", _font
    ),
    Translation("pulpo-messaging", "enable_banner", "banner.enabled", "", _switch),
    Translation("pulpo-messaging", "banner_name", "banner.name", "", str),
    Translation("pulpo-messaging", "banner_font", "banner.font", "as above", _font),
)

BY_NAME: Final[Mapping[str, Translation]] = {each.old: each for each in TRANSLATIONS}

#: What pulpo-messaging called its adapters.
SCHEMES: Final[Mapping[Any, str]] = {
    "FileQueueAdapter": "file",
    "file_queue_adapter": "file",
    "BeanstalkdQueueAdapter": "beanstalkd",
    "beanstalkd_queue_adapter": "beanstalkd",
}


def queue_of_loafer(given: Mapping[str, Any]) -> str:
    """The URL of the queue that loafer received from.

    Raises:
        ValueError: it is not said.
    """
    source = given.get("LOAFER_DEFAULT_ROUTE_SOURCE")
    if not source:
        raise ValueError("LOAFER_DEFAULT_ROUTE_SOURCE: expected the name or the URL of a queue")
    url = f"sqs://?url={source}" if re.match(r"https?://", str(source)) else f"sqs://{source}"
    visibility = given.get("LOAFER_DEFAULT_CONSUMER_OPTIONS.VisibilityTimeout")
    if visibility is None:
        return url
    return f"{url}{'&' if '?' in url else '?'}visibility={visibility}s"


def queue_of_pulpo_messaging(given: Mapping[str, Any]) -> str:
    """The URL of the queue that pulpo-messaging received from.

    Raises:
        ValueError: it is not said, or cannot be.
    """
    kind = given.get("queue_adapter_type")
    if kind not in SCHEMES:
        raise ValueError(f"queue_adapter_type: expected one of {', '.join(SCHEMES)}, not {kind!r:.60}")
    return _file(given) if SCHEMES[kind] == "file" else _beanstalkd(given)


def _file(given: Mapping[str, Any]) -> str:
    path = str(given.get("file_queue_adapter.base_path") or "/tmp/kessel/default")
    if not path.startswith("/"):
        raise ValueError(f"file_queue_adapter.base_path: expected a path from the root, not {path!r:.60}")
    return f"file://{quote(path.rstrip('/'))}/pulpo.db"


def _beanstalkd(given: Mapping[str, Any]) -> str:
    names = ("host", "port", "default_tube", "socket_timeout")
    part = {name: given.get(f"beanstalkd_queue_adapter.{name}") for name in names}
    tube = quote(str(part["default_tube"] or "pulpo-beanstalk-queue-adapter"))
    url = f"beanstalkd://{part['host'] or '127.0.0.1'}:{part['port'] or 11300}/{tube}"
    return f"{url}?timeout={part['socket_timeout']}s" if part["socket_timeout"] else url
