"""What handlers of the simulated world do: their work, and everything else that handlers have been seen to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from pulpo_core import (
    Ack,
    Bury,
    BuryMessage,
    DeleteMessage,
    Delivery,
    Envelope,
    FollowUp,
    KeepMessage,
    Message,
    Release,
    Retry,
    RetryMessage,
    follow_up_uid,
)
from pulpo_core.testing import VirtualLoop

from .books import Books, Run
from .fate import Fate


class Unspeakable(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class NeitherErrorNorExit(BaseException):
    """Something that `except Exception` does not catch."""


#: What a handler may raise to end its whole process.
EXITS = (SystemExit, KeyboardInterrupt, NeitherErrorNorExit, BaseExceptionGroup)

ODD: Sequence[Callable[[], BaseException]] = (
    Unspeakable,
    NeitherErrorNorExit,
    StopIteration,
    StopAsyncIteration,
    GeneratorExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    TimeoutError,
    RecursionError,
    MemoryError,
    lambda: SystemExit(3),
    lambda: ExceptionGroup("several", [ValueError(1), OSError(2)]),
    lambda: BaseExceptionGroup("several", [KeyboardInterrupt(), OSError(2)]),
)

#: Ways to ask for something else than an acknowledgement: returned, or raised.
ASKED: Sequence[Any] = (
    False,
    Retry(0.5),
    Retry(7),
    Bury("so"),
    Release(),
    RetryMessage("not now"),
    RetryMessage(delay=3),
    BuryMessage("never"),
    KeepMessage(),
)


@attrs.define(eq=False)
class Crew:
    """The handlers of one route in one worker.

    Attributes:
        place: URL of the route's queue.
        elsewhere: URL of the queue to which some of the follow-ups go.
        limit: how many may run at once.
    """

    fate: Fate
    books: Books
    worker: Any
    route: str
    place: str
    elsewhere: str
    limit: int

    async def work(self, message: Message, delivery: Delivery) -> Any:
        """A handler that is a coroutine function."""
        run = self._run(delivery, in_thread=False)
        self.books.begin(run, limit=self.limit)
        try:
            await self._take_time()
            return self._result(run, message)
        finally:
            self.books.end(run)

    def work_in_thread(self, message: Message, delivery: Delivery) -> Any:
        """A handler that is a plain function."""
        run = self._run(delivery, in_thread=True)
        self.books.begin(run, limit=self.limit)
        try:
            return self._result(run, message)
        finally:
            self.books.end(run)

    def on_error(self, exc_info: Any, subject: Message | Envelope) -> Any:
        """An error handler that is a plain function."""
        if self.fate.happens("error handler raises"):
            raise self.fate.choice([ValueError("again"), RetryMessage(delay=2), BuryMessage("given up")])
        answer = self.fate.choice([False, False, None, True, Retry(1), Bury("seen")])
        if answer is True:
            name = subject.metadata["id"] if isinstance(subject, Envelope) else subject.id
            self.books.complete((self.place, str(name)))
        return answer

    async def on_error_async(self, exc_info: Any, subject: Message | Envelope) -> Any:
        """An error handler that is a coroutine function."""
        await asyncio.sleep(self.fate.span(0, 1))
        return self.on_error(exc_info, subject)

    def _run(self, delivery: Delivery, *, in_thread: bool) -> Run:
        return Run((self.place, delivery.id), self.worker, self.route, delivery, in_thread)

    async def _take_time(self) -> None:
        fate = self.fate
        await asyncio.sleep(fate.span(0.0, 0.1, 2))
        if fate.happens("handler is slow"):
            await asyncio.sleep(fate.span(10, 100))
        if fate.happens("handler never ends"):
            await asyncio.sleep(100_000)
        if fate.happens("loop blocked"):
            self._block(fate.span(1, 10, 40))
        if fate.happens("handler cancels itself"):
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if fate.chance(0.5):
                await asyncio.sleep(1)
        if fate.happens("handler swallows its cancellation"):
            try:
                await asyncio.sleep(fate.span(30))
            except asyncio.CancelledError:
                await asyncio.sleep(fate.span(0.1, 5))

    def _block(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        for broker in self.worker.brokers:
            broker.blame("loop blocked")
        loop.jump(seconds)

    def _result(self, run: Run, message: Message) -> Any:
        fate = self.fate
        if fate.happens("handler raises"):
            raise fate.choice([ValueError("by chance"), ConnectionError("by chance")])
        if fate.happens("handler raises oddly"):
            raise fate.choice(ODD)()
        if fate.happens("handler asks"):
            return _answered(fate.choice(ASKED))
        follow_ups = self._follow_ups(message)
        self.books.complete(run.place, [follow_up_uid(str(message.uid), number) for number in range(len(follow_ups))])
        if follow_ups:
            return follow_ups
        if fate.chance(0.05):
            raise DeleteMessage
        return fate.choice([None, None, True, 0, "", Ack()])

    def _follow_ups(self, message: Message) -> list[Message | FollowUp]:
        wanted = message.body.get("follow_ups", 0)
        each = Message(request_type="work", body={})
        return [FollowUp(each, self.elsewhere) if number % 2 else each for number in range(wanted)]


def _answered(answer: Any) -> Any:
    if isinstance(answer, BaseException):
        raise answer
    return answer
