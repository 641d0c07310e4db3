"""Telling observers: quickly, one after another, and none of them can break anything."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pulpo_core.ports.observer import Event, Observer

log = logging.getLogger("pulpo.observers")


def tell(observers: Iterable[Observer], event: Event) -> None:
    """Tell *observers* about *event*; one that raises is logged and otherwise ignored."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            log.exception("observer %r failed", observer)
