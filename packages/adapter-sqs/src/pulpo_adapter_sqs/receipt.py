"""What the provider keeps of a delivery, to settle it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import attrs

from pulpo_core import AdapterError, Settlement

from .channel import Channel
from .codec import Extras

#: A message stays invisible for at most so many seconds after it was received, however often that is prolonged.
CEILING: Final = 43_200


@attrs.define(slots=True, eq=False, kw_only=True)
class Receipt:
    """One receive of one message.

    Attributes:
        message: as SQS handed it out.
        taken_at: the monotonic moment before the request that brought it; the ceiling counts from there.
        deadline: the monotonic moment at which the lease ends, as far as this adapter knows.
        settling: what is being done with it, or was done once the future says so; `None` after a failure.
        extension: an extension under way: no other change of visibility may overtake it.
        copied: a copy is where it belongs, and only the original is left to be deleted.
    """

    channel: Channel
    message: Mapping[str, Any]
    extras: Extras
    taken_at: float
    deadline: float
    settling: tuple[Settlement, asyncio.Future[AdapterError | None]] | None = None
    extension: asyncio.Future[None] | None = None
    copied: bool = False

    @property
    def handle(self) -> str:
        """What SQS wants to see to do anything with this receive."""
        handle: str = self.message["ReceiptHandle"]
        return handle

    def allowance(self, seconds: int, now: float) -> int:
        """As much of *seconds* from *now* as the ceiling of SQS allows; one second is left for the way there."""
        return max(0, min(seconds, int(self.taken_at + CEILING - 1 - now)))
