"""Making a queue before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulpo_core import ConfigurationError, SystemClock

from .operations import Change
from .queue import open_calls
from .settings import Settings
from .transaction import Transaction


async def create(settings: Settings, options: Mapping[str, Any]) -> str:
    """Make the file and the queue that *settings* name, and say what was done."""
    if options:
        raise ConfigurationError(f"a file queue has no options, not {', '.join(sorted(options))}")
    async with open_calls(settings, SystemClock()) as (calls, _):

        def make(transaction: Transaction) -> bool:
            there = transaction.find_queue(calls.desk) is not None
            transaction.make_queue(calls.desk)
            return there

        there = await calls.ask(Change(calls.desk, make, stores=True, makes_file=True))
    return f"queue {settings.queue!r} in {settings.path} " + ("was there already" if there else "is made")
