"""Putting envelopes into a tube, each confirmed by beanstalkd."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from operator import methodcaller
from typing import Any, Final

import attrs

from pulpo_core import AdapterError, Capabilities, Clock, Envelope, MessageTooLarge, Unsupported

from .codec import delay_of
from .connection import Connection, Lost
from .errors import Doing, checked, error_of
from .link import Link
from .pipeline import Command
from .server import STOPPED, LogWatch, promised

#: Seconds between looks at whether beanstalkd still writes its log, while jobs are put.
LOOK_EVERY: Final = 2.0

_log = logging.getLogger("pulpo.adapter.beanstalkd")


class BeanstalkdPublisher:
    """See `Publisher`. Calls from many tasks share one connection and one write."""

    def __init__(self, *, tube: str, ttr: int, link: Link, clock: Clock, capabilities: Capabilities) -> None:
        self._tube = tube
        self._ttr = ttr
        self._link = link
        self._clock = clock
        self._capabilities = capabilities
        self._asked: Connection | None = None
        self._watch = LogWatch(0)
        self._next_look = 0.0

    @property
    def capabilities(self) -> Capabilities:
        """What this beanstalkd promises, as it said last."""
        return self._capabilities

    async def open(self) -> None:
        """Connect, and ask beanstalkd what it can do.

        Raises:
            Unavailable: it cannot be reached.
        """
        try:
            await self._connection()
        except Lost as lost:
            raise error_of(lost, Doing.LOOK) or lost from lost

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """See `Publisher.publish`."""
        size = self._capabilities.max_batch
        results: list[str | AdapterError] = []
        for start in range(0, len(batch), size):
            try:
                results += await self._put(batch[start : start + size])
            except AdapterError as error:
                if not start:
                    raise
                return results + [error] * (len(batch) - start)
        return results

    async def _put(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        try:
            connection = await self._connection()
        except Lost as lost:
            return [error_of(lost, Doing.PUBLISH) or AdapterError(str(lost)) for _ in batch]
        results = [self._command(envelope) for envelope in batch]
        commands = [result for result in results if not isinstance(result, AdapterError)]
        answers = iter(await self._tell(connection, commands))
        return [result if isinstance(result, AdapterError) else _id_of(next(answers)) for result in results]

    def _command(self, envelope: Envelope) -> Command | AdapterError:
        longest = self._capabilities.max_body_bytes
        if longest is not None and len(envelope.body) > longest:
            return MessageTooLarge(
                f"a job of {len(envelope.body)} bytes; this beanstalkd keeps at most {longest} (its -z option)"
            )
        if envelope.group is not None:
            return Unsupported("a tube keeps no order within groups; take one tube for each group")
        try:
            delay = delay_of(envelope, self._clock.now())
        except AdapterError as error:
            return error
        return methodcaller("put", envelope.body, envelope.priority, delay, self._ttr)

    async def _tell(self, connection: Connection, puts: list[Command]) -> list[Any]:
        if not puts:
            return []
        if self._clock.monotonic() < self._next_look:
            answers = await connection.ask(puts)
        else:
            self._next_look = self._clock.monotonic() + LOOK_EVERY
            *answers, stats = await connection.ask([*puts, _STATS])
            self._watch.stored(sum(isinstance(answer, int) for answer in answers))
            self._look_at_log(stats)
            return answers
        self._watch.stored(sum(isinstance(answer, int) for answer in answers))
        return answers

    def _look_at_log(self, stats: Any) -> None:
        if not isinstance(stats, dict):
            return
        stopped = self._watch.has_stopped(stats)
        if stopped and self._capabilities.durability != STOPPED:
            _log.error("tube %s: %s", self._tube, STOPPED)
            self._capabilities = attrs.evolve(self._capabilities, durability=STOPPED)
        elif stopped is False:
            self._capabilities = promised(stats, lease=timedelta(seconds=self._ttr))

    async def _connection(self) -> Connection:
        """The connection to put through. Each one is asked what beanstalkd can do: it may be another."""
        connection = await self._link.connection()
        if connection is not self._asked:
            (stats,) = await connection.ask([_STATS])
            if isinstance(stats, Lost):
                raise stats
            checked([stats], Doing.LOOK)
            self._capabilities = promised(stats, lease=timedelta(seconds=self._ttr))
            self._watch = LogWatch(stats["binlog-records-written"])
            self._asked = connection
        return connection


_STATS: Final = methodcaller("stats")


def _id_of(answer: Any) -> str | AdapterError:
    return error_of(answer, Doing.PUBLISH) or str(answer)
