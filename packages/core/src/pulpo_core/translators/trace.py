"""Trace context: the headers that a queue carries beside the body as well, where it has room.

Nobody is believed who sets them, and nothing depends on them: they are for tracing alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

CARRIED_HEADERS: Final = ("traceparent", "tracestate")
_CARRIED: Final = frozenset(CARRIED_HEADERS)
_NOTHING: Final[Mapping[str, str]] = {}

#: The form of trace context; whatever else calls itself so is left out.
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def carried(header: Mapping[str, Any]) -> Mapping[str, str]:
    """The part of *header* that travels beside the body."""
    if _CARRIED.isdisjoint(header):
        return _NOTHING
    return {name: str(header[name]) for name in CARRIED_HEADERS if name in header}


def trace_of(attributes: Mapping[str, str]) -> Mapping[str, str]:
    """The trace context that came beside a body, for the header of its message."""
    if not attributes or not _TRACEPARENT.fullmatch(attributes.get("traceparent", "")):
        return _NOTHING
    return {name: attributes[name] for name in CARRIED_HEADERS if name in attributes}
