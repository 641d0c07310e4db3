"""Ten to a request: positional batches, one answer for each entry, and callers that share a request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

import attrs

from pulpo_core import AdapterError, ConfigurationError, Unavailable

from .background import Background, closed_meanwhile
from .client import Client
from .errors import from_code

E = TypeVar("E")

MAX_BATCH: Final = 10  # entries that SQS takes in one request

#: Requests of one kind to one queue that are under way at once. The deadline of each begins when it is sent, so
#: there may be any number to be sent after it.
AT_ONCE: Final = 32

#: So many requests in a row without an answer, or as many as go at once, and those that wait are not sent.
_UNANSWERED: Final = 3

Entry = Mapping[str, Any]

#: What became of one entry: SQS's own words about it, or why it failed.
Answer = Mapping[str, Any] | AdapterError


async def call_batch(
    client: Client, operation: str, what: str, parameters: Mapping[str, Any], entries: Sequence[Entry]
) -> list[Answer]:
    """Send at most `MAX_BATCH` *entries* in one request; for each, in their order, what became of it.

    Entries are named by their position: ids of messages may be equal within a batch, and SQS
    refuses a batch whose names are.

    Raises:
        ConfigurationError: the queue is gone, or may not be used like that.
    """
    numbered = [{"Id": str(place), **entry} for place, entry in enumerate(entries)]
    field = "PublishBatchRequestEntries" if operation == "PublishBatch" else "Entries"
    try:
        said = await client.call(operation, what, {**parameters, field: numbered})
        return _in_order(said, len(entries), what=f"{operation} on {what}")
    except AdapterError as error:
        return [error] * len(entries)


def _in_order(said: Mapping[str, Any], count: int, *, what: str) -> list[Answer]:
    silence = Unavailable(f"{what}: the answer does not mention this entry", in_doubt=True)
    answers: list[Answer] = [silence] * count
    for done in said.get("Successful") or ():
        answers[_place(done, count, what)] = done
    for failed in said.get("Failed") or ():
        answers[_place(failed, count, what)] = _failure(failed, what)
    return answers


def _place(told: Mapping[str, Any], count: int, what: str) -> int:
    """The position of the entry that an answer tells of."""
    name = told.get("Id")
    for place in range(count):
        if name == str(place):
            return place
    raise Unavailable(f"{what}: the answer tells of an entry {name!r:.80} that was not sent", in_doubt=True)


def _failure(failed: Mapping[str, Any], what: str) -> AdapterError:
    status = 400 if failed.get("SenderFault", True) else 503
    error = from_code(str(failed.get("Code", "")), str(failed.get("Message", "")), what=what, status=status)
    if isinstance(error, ConfigurationError):
        raise error
    return error if isinstance(error, AdapterError) else AdapterError(str(error))


def chunks(entries: Iterable[E], *, size: Callable[[E], int] = lambda _: 0, max_bytes: int = 1) -> list[list[E]]:
    """*entries* in their order, cut into batches of at most `MAX_BATCH` and *max_bytes* together."""
    cut: list[list[E]] = []
    filled = 0
    for entry in entries:
        weight = size(entry)
        if not cut or len(cut[-1]) == MAX_BATCH or filled + weight > max_bytes:
            cut.append([])
            filled = 0
        cut[-1].append(entry)
        filled += weight
    return cut


@attrs.define(slots=True, eq=False)
class _Waiting(Generic[E]):
    entry: E
    answered: asyncio.Future[Answer | ConfigurationError]

    def answer(self, answer: Answer | ConfigurationError) -> None:
        if not self.answered.done():
            self.answered.set_result(answer)


@attrs.define(slots=True, eq=False)
class Coalescer(Generic[E]):
    """Joins what many tasks want to send into few requests.

    A full batch goes at once. A smaller one goes *linger* seconds after its first entry came; with
    a *linger* of 0, as soon as every task that is ready to run has had its turn. A request, once
    sent, does not end when those who wait for it are cancelled.

    Attributes:
        send: sends one batch; answers for each entry, or raises for all of them.
        eager: a small batch does not linger while no request is under way: a lone caller is not
            held up, and many fill each other's batches.
        size: bytes of an entry, which together are at most *max_bytes* in one request.
        in_order: sends one batch after another, and so keeps the order of the entries.

    At most `AT_ONCE` requests are under way. When none of them is answered, those that wait for their turn are
    not sent: AWS cannot be reached, and nobody should wait for a long row of deadlines to learn that.
    """

    tasks: Background
    send: Callable[[Sequence[E]], Awaitable[Sequence[Answer]]]
    linger: float = attrs.field(default=0.0, kw_only=True)
    eager: bool = attrs.field(default=False, kw_only=True)
    size: Callable[[E], int] = attrs.field(default=lambda _: 0, kw_only=True)
    max_bytes: int = attrs.field(default=1, kw_only=True)
    in_order: bool = attrs.field(default=False, kw_only=True)
    _waiting: deque[_Waiting[E]] = attrs.field(factory=deque, init=False)
    _ready: deque[list[_Waiting[E]]] = attrs.field(factory=deque, init=False)
    _timer: asyncio.Handle | None = attrs.field(default=None, init=False)
    _sending: int = attrs.field(default=0, init=False)
    _unanswered: int = attrs.field(default=0, init=False)

    @property
    def at_once(self) -> int:
        """How many requests may be under way."""
        return 1 if self.in_order else AT_ONCE

    async def submit(self, entries: Sequence[E]) -> list[Answer]:
        """Send *entries*; what became of each, in their order.

        Raises:
            ConfigurationError: the queue is gone, or may not be used like that.
        """
        self.tasks.check_open()
        loop = asyncio.get_running_loop()
        mine = [_Waiting(entry, loop.create_future()) for entry in entries]
        self._waiting += mine
        self._schedule(loop)
        answers = [await each.answered for each in mine]
        for answer in answers:
            if isinstance(answer, ConfigurationError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, ConfigurationError)]

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        while len(self._waiting) >= MAX_BATCH:
            self._flush()
        if self._waiting and self._timer is None:
            now = not self.linger or (self.eager and not self._sending)
            self._timer = loop.call_soon(self._on_time) if now else loop.call_later(self.linger, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        if not self._waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ready += chunks(batch, size=lambda each: self.size(each.entry), max_bytes=self.max_bytes)
        self._send_ready()

    def _send_ready(self) -> None:
        while self._ready and self._sending < self.at_once:
            part = self._ready.popleft()
            try:
                task = self.tasks.start(self._deliver(part))
            except AdapterError as closed:
                _answer_all(part, closed)
            else:
                self._sending += 1
                task.add_done_callback(partial(self._on_sent, part))

    def _refuse_ready(self, error: AdapterError) -> None:
        while self._ready:
            _answer_all(self._ready.popleft(), error)

    def _on_sent(self, part: Sequence[_Waiting[E]], task: asyncio.Task[None]) -> None:
        self._sending -= 1
        if task.cancelled():
            _answer_all(part, closed_meanwhile())
        self._send_ready()
        if self.eager and self._waiting and not self._sending and not self.tasks.closed:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_soon(self._on_time)

    async def _deliver(self, part: Sequence[_Waiting[E]]) -> None:
        try:
            answers = await self.send([each.entry for each in part])
        except (AdapterError, ConfigurationError) as error:
            _answer_all(part, error)
            return
        for each, answer in zip(part, answers, strict=True):
            each.answer(answer)
        self._note(answers[0])

    def _note(self, answer: Answer) -> None:
        if not _is_silence(answer):
            self._unanswered = 0
            return
        self._unanswered += 1
        if self._unanswered >= max(self.at_once, _UNANSWERED):
            self._unanswered = 0
            self._refuse_ready(Unavailable(f"not sent, since AWS does not answer: {answer}"))


def _is_silence(answer: Answer) -> bool:
    """Whether a whole request has failed without a word of AWS about it."""
    return isinstance(answer, Unavailable) and not hasattr(answer.__cause__, "response")


def _answer_all(part: Sequence[_Waiting[E]], error: AdapterError | ConfigurationError) -> None:
    for each in part:
        each.answer(error)
