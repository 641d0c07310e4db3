"""Queues that do not do what they declare, or do not declare what they do."""

from datetime import timedelta
from typing import Any

import attrs

from pulpo_core import (
    Capabilities,
    Peek,
)
from tests.contract.faults.wrapper import Faulty, caught_by


@caught_by("C180")
class IgnoresUnknownParameters(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return url.partition("?")[0]


@caught_by("C181")
class AcceptsSecrets(Faulty):
    @staticmethod
    def rewrite(url: str) -> str:
        return url.replace("user:hunter2@", "")


@caught_by("C033")
class LateAckTakesTheNext(Faulty):
    """Declares that a late acknowledgement is safe, and removes whatever is ready."""

    @property
    def capabilities(self) -> Capabilities:
        return attrs.evolve(self._queue.capabilities, late_ack=True)

    async def settle(self, batch):
        answers = await self._queue.settle(batch)
        if any(answers) and (record := await self._queue.peek(Peek.READY)):
            await self._queue.delete([record.id])
        return answers


@caught_by("C183")
class HidesItsName(Faulty):
    url = "the queue in memory"


@caught_by("C184")
class SaysTooMuch(Faulty):
    """Reports at length, where one line was asked for."""

    created = "created the queue\nand wrote a poem"


def declaring(name: str, **declared: Any) -> type[Faulty]:
    """A queue that declares otherwise than it does: what is not declared must be refused."""

    class Declares(Faulty):
        @property
        def capabilities(self) -> Capabilities:
            return attrs.evolve(self._queue.capabilities, **declared)

    Declares.__name__ = f"Declares{''.join(word.title() for key in declared for word in key.split('_'))}Otherwise"
    return caught_by(name)(Declares)


declaring("C131", peek=frozenset({Peek.READY}))
declaring("C170", purge_states=frozenset({"ready"}))
declaring("C171", pause=False)
declaring("C172", priority=False)
declaring("C173", groups=False)
declaring("C174", max_delay=timedelta())
declaring("C175", atomic_follow_ups=False)
declaring("C045", max_delay=timedelta(minutes=15))
declaring("C182", late_ack=True)
