"""Emptying a tube for good: for tubes made to be thrown away."""

from __future__ import annotations

from typing import Final

from pulpo_core import Clock, Queue, State

_EVERYTHING: Final = frozenset({State.READY, State.DELAYED, State.BURIED})

#: Jobs of a connection that was just closed are reserved for a moment longer: so often, so many seconds each time.
_LOOKS: Final = 20
_PAUSE: Final = 0.1


async def remove(queue: Queue, clock: Clock) -> None:
    """Delete every job of *queue*, and every record of a burial."""
    for _ in range(_LOOKS):
        await queue.purge(_EVERYTHING)
        stats = await queue.stats()
        if not (stats.ready or stats.delayed or stats.reserved or stats.buried):
            break
        await clock.sleep(_PAUSE)
    await queue.buried()  # whoever lists removes the records that belong to nothing
