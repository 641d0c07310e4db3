"""The way of one delivery: guard → translate → route → handle → decide.

A pipeline never raises for a bad message: whatever goes wrong is an outcome, and the policy's
table turns it into a settlement. What does escape is a bug, or the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from pulpo_core.domain.capabilities import Capabilities
from pulpo_core.domain.decision import Decision, Situation, Tally, decide
from pulpo_core.domain.envelope import Delivery, Envelope
from pulpo_core.domain.errors import TranslationError
from pulpo_core.domain.message import Message
from pulpo_core.domain.outcome import (
    Abandoned,
    Asked,
    Cancelled,
    Failed,
    Handled,
    LostLease,
    Outcome,
    TimedOut,
    Unroutable,
    Untranslatable,
)
from pulpo_core.domain.planning import plan
from pulpo_core.domain.policy import Policy, guard
from pulpo_core.domain.routing import RouteTable
from pulpo_core.domain.settlement import Ack, Reason, Retry, Settlement
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.handler import Middleware, Next
from pulpo_core.ports.observer import Alarm, Event, Started

from .binding import BoundHandler, RunsIn, finish, is_async
from .held import Held, Stage
from .isolation import in_context
from .results import HANDLED, outcome_of_error, outcome_of_error_handler, outcome_of_result
from .route import Route
from .threads import Threads

if TYPE_CHECKING:
    from .processes import Processes

#: As plain names, since looking up a member of an enumeration costs as much as calling a function.
RUNNING: Final = Stage.RUNNING
HANDLED_STAGE: Final = Stage.HANDLED
LOOP: Final = RunsIn.LOOP
THREAD: Final = RunsIn.THREAD
PROCESS: Final = RunsIn.PROCESS

_ACKED: Final = Decision(Ack(), Reason.HANDLED, Tally.ACKED)


class _Unfit(Exception):
    """A body that does not fit the handler's parameter, on its way out through middleware."""


@attrs.define(slots=True, eq=False, kw_only=True)
class Pipeline:
    """Handles the deliveries of one route; any number at once.

    Attributes:
        scheme: of the route's queue; begins the uid of messages that brought none.
        thread_grace: how long a handler in a thread may go on after it should have ended.
        emit: told about every start and every alarm.
        on_stop: told when user code raised `SystemExit` or its like: the process is to end.
        runner: the task whose cancellation is that of the whole route; any other one stays with its message.
    """

    route: Route
    policy: Policy
    capabilities: Capabilities
    table: RouteTable[BoundHandler]
    scheme: str
    threads: Threads
    processes: Processes | None
    thread_grace: timedelta
    clock: Clock
    jitter: Jitter
    emit: Callable[[Event], None]
    on_stop: Callable[[BaseException], None]
    watched: bool = False
    runner: asyncio.Task[Any] | None = None
    _context: contextvars.Context = attrs.field(init=False, factory=contextvars.copy_context)

    async def handle(self, held: Held, task: asyncio.Task[None]) -> Decision:
        """Handle one delivery, inside *task*, and decide about it; `Held.interrupt` ends it early."""
        held.task, held.stage = task, RUNNING
        try:
            outcome = await self._outcome(held)
        except asyncio.CancelledError as error:
            if self._is_ending:
                raise
            outcome = held.cause or Failed(error)  # interrupted, or it awaited something of its own that was cancelled
        except GeneratorExit:
            raise
        except BaseException as end:  # noqa: BLE001 - it ends the process, but in order
            self.on_stop(end)
            outcome = Cancelled()
        finally:
            held.stage, held.task = HANDLED_STAGE, None
        if task.cancelling():
            await self._take_back(task)
        if outcome is HANDLED and not held.delivery.lease.lost:
            return _ACKED
        if held.delivery.lease.lost and not isinstance(outcome, Abandoned):
            outcome = LostLease(work_done=_is_all_done(outcome))
        return self.decide(held, outcome)

    @property
    def _is_ending(self) -> bool:
        return self.runner is not None and self.runner.cancelling() > 0

    async def _take_back(self, task: asyncio.Task[None]) -> None:
        """Undo every cancellation of the slot's task but that of the route: ours, and what a handler left behind."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # what nobody has noticed yet is noticed here, and not by the next message
        if self._is_ending:
            raise asyncio.CancelledError
        while task.cancelling():
            task.uncancel()

    def decide(self, held: Held, outcome: Outcome) -> Decision:
        """What the policy makes of *outcome*, fitted to the queue."""
        situation = self._situation(held)
        decision = decide(self.policy, outcome, situation, self.jitter.random())
        if decision.alarm:
            self.emit(Alarm(route=self.route.name, text=decision.alarm))
        if decision.settlement is None:
            return decision
        spent = timedelta(seconds=self.clock.monotonic() - held.received_at)
        planned = plan(decision.settlement, self.capabilities, held=spent)
        if isinstance(planned, Retry):
            self._tell_if_sooner(decision.settlement, planned)
        return attrs.evolve(decision, settlement=planned)

    def _tell_if_sooner(self, wanted: Settlement, planned: Retry) -> None:
        """A retry that its queue cannot put off for so long comes earlier, which nobody asked for."""
        if isinstance(wanted, Retry) and (wanted.delay or timedelta()) > (planned.delay or timedelta()):
            text = f"a retry comes after {planned.delay} and not {wanted.delay}: its queue keeps none for longer"
            self.emit(Alarm(route=self.route.name, text=text))

    def _situation(self, held: Held) -> Situation:
        message, envelope = held.message, held.delivery.envelope
        return Situation(
            attempt=held.delivery.attempt,
            now=self.clock.now(),
            expiration=(_moment_of(message.expiration) if message else None) or envelope.expiration,
            published_at=envelope.published_at or _published_at(message),
            late_ack=self.capabilities.late_ack,
        )

    # ------------------------------------------------------------------------------------------ guard and translate

    async def _outcome(self, held: Held) -> Outcome:
        delivery = held.delivery
        envelope = delivery.envelope
        if delivery.attempt > 1 or envelope.expiration is not None:  # nothing else can be refused, and asking costs
            refused = self._refusal(delivery, envelope.expiration)
            if refused is not None:
                return refused
        try:
            answer: Any = self.route.translator.translate(envelope)
            if type(answer) is not Message:
                answer = _as_message(await finish(answer))
        except Exception as error:  # noqa: BLE001 - a translator is user code
            return await self._ask(held, Untranslatable(error), error, envelope)
        message = held.message = self._received(answer, delivery)
        if message.expiration is not None:
            refused = self._refusal(delivery, _moment_of(message.expiration))
            if refused is not None:
                return refused
        handler = self.table.find(message.request_type)
        if handler is None:
            return Unroutable(message.request_type)
        return await self._run(held, handler, message)

    def _received(self, message: Message, delivery: Delivery) -> Message:
        return message.received(
            id=delivery.id,
            uid=delivery.envelope.uid or f"{self.scheme}:{delivery.id}",
            attempts=delivery.attempt - 1,
        )

    def _refusal(self, delivery: Delivery, expiration: datetime | None) -> Outcome | None:
        return guard(
            self.policy,
            attempt=delivery.attempt,
            lost=delivery.lost,
            slack=self.capabilities.attempt_slack,
            now=self.clock.now(),
            expiration=expiration,
        )

    # ------------------------------------------------------------------------------------------------------- handle

    async def _run(self, held: Held, handler: BoundHandler, message: Message) -> Outcome:
        begun = None
        if self.watched:
            self.emit(Started(route=self.route.name, delivery=held.delivery, message=message))
            begun = self.clock.monotonic()
        limit = handler.timeout or self.route.timeout
        timer = None
        if limit is not None:
            timer = asyncio.get_running_loop().call_later(limit.total_seconds(), held.interrupt, TimedOut(limit))
        try:
            result = await self._call(held, handler, message)
            if result is not None and inspect.isawaitable(result):
                result = await result
            return outcome_of_result(result, falsy_retries=self.route.falsy_retries)
        except _Unfit as unfit:
            error = unfit.__cause__ or unfit
            return await self._ask(held, Untranslatable(error), error, message)
        except Exception as error:  # noqa: BLE001 - the boundary around handlers
            return await self._failed(held, error, message)
        finally:
            if begun is not None:
                held.handling = self.clock.monotonic() - begun
            if timer is not None:
                timer.cancel()

    def _call(self, held: Held, handler: BoundHandler, message: Message) -> Awaitable[Any]:
        """The handler's work, in a context of its own."""
        if self.route.middleware or handler.runs_in is not LOOP or handler.make is not None:
            call = _chain(self.route.middleware, lambda m, d: self._innermost(held, handler, m, d))
            work = finish(call(message, held.delivery))
        else:
            work = _prepare(handler, message, held.delivery)()  # a coroutine function makes a coroutine
        context = held.context = self._context.copy()
        return in_context(work, context)

    async def _innermost(self, held: Held, handler: BoundHandler, message: Message, delivery: Delivery) -> Any:
        if handler.runs_in is PROCESS:
            return await self._in_process(handler, message, delivery)
        if handler.make is not None:
            handler = await handler.made()
        call = _prepare(handler, message, delivery)
        return await (self._in_thread(held, call) if handler.runs_in is THREAD else call())

    async def _in_process(self, handler: BoundHandler, message: Message, delivery: Delivery) -> Any:
        if self.processes is None:
            raise AssertionError("whoever runs a handler in a process opens a pool")
        try:
            return await self.processes.call(handler, message, delivery)
        except TranslationError as error:
            raise _Unfit from error

    async def _in_thread(self, held: Held, call: Callable[[], Any]) -> Any:
        job = self.threads.submit(call, contextvars.copy_context())
        try:
            result = await asyncio.shield(job.future)
        except asyncio.CancelledError:
            if job.withdraw() or held.cause is None:
                raise
            result = await self._last_chance(held, job.future)
        return await finish(result)

    async def _last_chance(self, held: Held, future: asyncio.Future[Any]) -> Any:
        """Wait for a thread that should have ended; what it still returns or raises in time counts."""
        grace = 0.0 if isinstance(held.cause, Cancelled) else self.thread_grace.total_seconds()
        with contextlib.suppress(asyncio.CancelledError):  # interrupted once more: the time for waiting is over
            await asyncio.wait([future], timeout=grace)
        if future.done():
            held.cause = None
            return future.result()
        self.threads.abandon()
        held.cause = Abandoned(timedelta(seconds=grace))
        raise asyncio.CancelledError

    # ----------------------------------------------------------------------------------------------- when it failed

    async def _failed(self, held: Held, error: Exception, message: Message) -> Outcome:
        if held.cause is not None:
            return held.cause  # it fell over because it was cancelled; that is no failure of its own
        outcome = outcome_of_error(error)
        if not isinstance(outcome, Failed) or self.route.error_handler is None:
            return outcome
        return await self._ask(held, outcome, error, await self._as_it_came(held.delivery, message))

    async def _as_it_came(self, delivery: Delivery, message: Message) -> Message:
        """*message* from its bytes once more: the handler may have changed the body that it was given."""
        try:
            answer = _as_message(await finish(self.route.translator.translate(delivery.envelope)))
        except Exception:  # noqa: BLE001 - a translator is user code
            return message
        return self._received(answer, delivery)

    async def _ask(self, held: Held, outcome: Outcome, error: BaseException, subject: Message | Envelope) -> Outcome:
        """The outcome once the error handler, if there is one, has been asked."""
        handler = self.route.error_handler
        if handler is None:
            return outcome
        exc_info = (type(error), error, error.__traceback__)
        try:
            answer = await self._call_error_handler(held, lambda: handler(exc_info, subject), handler)
            return outcome_of_error_handler(answer, outcome)
        except Exception as broken:  # noqa: BLE001 - an error handler is user code
            said = outcome_of_error(broken)
            if not isinstance(said, Failed):
                return said
            self.emit(Alarm(route=self.route.name, text=f"error handler failed: {type(broken).__qualname__}"))
            return outcome

    async def _call_error_handler(self, held: Held, call: Callable[[], Any], handler: Any) -> Any:
        """In the context of what failed, so that it can say in which request that was."""
        work = call() if is_async(handler) else self._in_thread(held, call)
        return await in_context(work, held.context or self._context.copy())


def _is_all_done(outcome: Outcome) -> bool:
    """Whether a late acknowledgement would lose nothing: follow-ups that are still to be published would be lost."""
    return (isinstance(outcome, Handled) and not outcome.follow_ups) or outcome == Asked(Ack())


def _prepare(handler: BoundHandler, message: Message, delivery: Delivery) -> Callable[[], Any]:
    try:
        return handler.prepare(message, delivery)
    except TranslationError as error:
        raise _Unfit from error


def _chain(middleware: Any, innermost: Next) -> Any:
    call = innermost
    for wrap in reversed(middleware):
        call = _wrapped(wrap, call)
    return call


def _wrapped(wrap: Middleware, call_next: Next) -> Next:
    return lambda message, delivery: wrap(message, delivery, call_next)


def _as_message(answer: Any) -> Message:
    """A translator's answer as a message; loafer's translators answer with a dictionary."""
    if isinstance(answer, Message):
        return answer
    if answer is None:
        raise TranslationError("the translator made nothing of it")
    if not isinstance(answer, Mapping):
        raise TranslationError(f"a translator answers with a Message, not {type(answer).__name__}")
    content = answer.get("content")
    if content is None:
        raise TranslationError("the translator's answer has no content")
    metadata = dict(answer.get("metadata") or {})
    body = content if isinstance(content, Mapping) else {"payload": content}
    request_type = metadata.pop("request_type", None)
    return Message(request_type=request_type, body=body, header={k: v for k, v in metadata.items() if k not in _FIELDS})


_FIELDS: Final = frozenset({"request_type", "priority", "delay", "expiration", "attempts"})


def _moment_of(moment: datetime | timedelta | None) -> datetime | None:
    """A message that came from a queue has moments; one that still has a span says nothing we could hold it to."""
    return moment if isinstance(moment, datetime) else None


def _published_at(message: Message | None) -> datetime | None:
    text = message.header.get("published_at") if message else None
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
