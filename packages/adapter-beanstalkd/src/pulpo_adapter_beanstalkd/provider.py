"""Receiving, settling and extending: one face over `Reception`, `Settlement` and the `Keeper`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from pulpo_core import AdapterError, Capabilities, Clock, Delivery

from .attempts import Freshness
from .connection import Dialer
from .keeper import Keeper
from .lanes import Lanes
from .reception import Reception
from .records import Records
from .server import CAPABILITIES
from .settlement import Settlement

_LONGEST_WAIT: Final = CAPABILITIES.max_wait  # the same for every beanstalkd


class BeanstalkdProvider:
    """See `Provider`."""

    def __init__(
        self,
        *,
        tube: str,
        ttr: int,
        most_lanes: int,
        freshness: Freshness,
        dialer: Dialer,
        clock: Clock,
        records: Records,
        capabilities: Callable[[], Capabilities],
    ) -> None:
        self._capabilities = capabilities
        self._dialer = dialer
        self._lanes = Lanes()
        self._keeper = Keeper(ttr=ttr, clock=clock, lanes=self._lanes)
        self._reception = Reception(
            tube=tube,
            ttr=ttr,
            most_lanes=most_lanes,
            freshness=freshness,
            dialer=dialer,
            clock=clock,
            lanes=self._lanes,
            records=records,
            keeper=self._keeper,
        )
        settlement = Settlement(ttr=ttr, clock=clock, records=records)
        self.settle, self.extend = settlement.settle, settlement.extend

    @property
    def capabilities(self) -> Capabilities:
        """What this tube promises."""
        return self._capabilities()

    async def receive(self, limit: int, wait: timedelta) -> Sequence[Delivery]:
        """See `Provider.receive`."""
        if self._dialer.closed:
            raise AdapterError("the queue is closed")
        return await self._reception.receive(limit, min(wait, _LONGEST_WAIT))

    def interrupt(self) -> None:
        """See `Provider.interrupt`."""
        self._reception.interrupt()

    def close(self) -> None:
        """Look after nothing any more."""
        self._keeper.close()
