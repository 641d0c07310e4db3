"""Moving messages: send a copy, then delete the original, never the other way round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pulpo_core import AdapterError

from .channel import Channel
from .receipt import Receipt


async def move(
    receipts: Sequence[Receipt], entries: Sequence[Mapping[str, Any]], *, source: Channel, target: Channel
) -> list[AdapterError | None]:
    """Send each of *entries* to *target*, and delete what it is a copy of from *source* once it is stored.

    A copy that was stored is not sent again when its original could not be deleted and the move is
    tried once more: see `Receipt.copied`.

    Raises:
        ConfigurationError: a queue is gone, or may not be used like that.
    """
    answers: list[AdapterError | None] = [None] * len(receipts)
    unsent = [place for place, receipt in enumerate(receipts) if not receipt.copied]
    for place, sent in zip(unsent, await target.send([entries[place] for place in unsent]), strict=True):
        if isinstance(sent, AdapterError):
            answers[place] = sent
        else:
            receipts[place].copied = True
    stored = [place for place, answer in enumerate(answers) if answer is None]
    deleted = await source.delete([receipts[place].handle for place in stored])
    for place, gone in zip(stored, deleted, strict=True):
        answers[place] = gone if isinstance(gone, AdapterError) else None
    return answers
