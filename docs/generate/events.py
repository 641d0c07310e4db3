"""What observers are told."""

from __future__ import annotations

import re
from typing import Any

import attrs

from pulpo_core import Observer, events

from .markdown import attributes, code, first_paragraph, paragraphs, table


def page() -> str:
    """Every event."""
    classes = [each for each in map(events.__dict__.get, events.__all__) if isinstance(each, type)]
    ordered = sorted(classes, key=lambda each: each.__name__)
    return paragraphs(
        "# Events",
        "What a dispatcher and its publishers tell their observers, as values without bodies: logs, metrics and traces"
        " are made of them. The classes are in `pulpo_core.events`.",
        f"An observer is any callable with one argument. {first_paragraph(Observer.__call__)} It is called in the event"
        " loop and must not block; one that raises is logged and otherwise ignored.",
        *[_event(each) for each in ordered],
    )


def _event(event: type) -> str:
    said = attributes(event)
    rows = [(code(each.name), code(_type(each)), said.get(each.name, "")) for each in attrs.fields(event)]
    return paragraphs(f"## {event.__name__}", first_paragraph(event), table(("field", "type", "meaning"), rows))


def _type(field: attrs.Attribute[Any]) -> str:
    annotation = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return re.sub(r"\b[a-z_.]+\.(?=[A-Z])", "", annotation or "")
