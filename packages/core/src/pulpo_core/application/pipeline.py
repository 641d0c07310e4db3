"""The way of one delivery: guard → translate → route → handle → decide.

A pipeline never raises for a bad message: whatever goes wrong is an outcome, and the policy's
table turns it into a settlement. What does escape is a bug, or the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

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
    Unroutable,
    Untranslatable,
)
from pulpo_core.domain.planning import plan
from pulpo_core.domain.policy import Policy, guard
from pulpo_core.domain.routing import RouteTable
from pulpo_core.domain.settlement import Ack, Reason, Retry, Settlement
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Alarm, Event, Started

from .binding import BoundHandler, finish
from .calling import LOOP, Calls, Unfit
from .held import Held, Stage
from .results import HANDLED, outcome_of_error, outcome_of_error_handler, outcome_of_result
from .route import Route

#: As plain names, since looking up a member of an enumeration costs as much as calling a function.
IN_LINE: Final = Stage.IN_LINE
RUNNING: Final = Stage.RUNNING
HANDLED_STAGE: Final = Stage.HANDLED

_ACKED: Final = Decision(Ack(), Reason.HANDLED, Tally.ACKED)


@attrs.define(slots=True, eq=False, kw_only=True)
class Pipeline:
    """Handles the deliveries of one route; any number at once.

    Attributes:
        scheme: of the route's queue; begins the uid of messages that brought none.
        calls: makes the calls of handlers, wherever they run.
        emit: told about every start and every alarm.
        on_stop: told when user code raised `SystemExit` or its like: the process is to end.
    """

    route: Route
    policy: Policy
    capabilities: Capabilities
    table: RouteTable[BoundHandler]
    scheme: str
    calls: Calls
    clock: Clock
    jitter: Jitter
    emit: Callable[[Event], None]
    on_stop: Callable[[BaseException], None]
    watched: bool = False

    async def handle(self, held: Held, task: asyncio.Task[None]) -> Decision:
        """Handle one delivery, inside *task*, and decide about it; `Held.interrupt` ends it early."""
        held.task, held.stage = task, RUNNING
        try:
            outcome = await self._outcome(held)
        except asyncio.CancelledError as error:
            if self.calls.is_ending:
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
        if isinstance(held.cause, Abandoned):  # whatever a middleware has made of it: it still runs
            outcome = held.cause
        if outcome is HANDLED and not held.delivery.lease.lost:
            return _ACKED
        if held.delivery.lease.lost and not isinstance(outcome, Abandoned):
            outcome = LostLease(work_done=_is_all_done(outcome))
        return self.decide(held, outcome)

    async def _take_back(self, task: asyncio.Task[None]) -> None:
        """Undo every cancellation of the slot's task but that of the route: ours, and what a handler left behind."""
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # what nobody has noticed yet is noticed here, and not by the next message
        if self.calls.is_ending:
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
        envelope = held.delivery.envelope
        return Situation(
            attempt=held.delivery.attempt,
            now=self.clock.now(),
            expiration=_expiration(held),
            published_at=envelope.published_at or _published_at(held.message),
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
        if handler.runs_in is LOOP:
            return await self._run(held, handler, message)
        return await self._run_in_line(held, handler, message)

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

    async def _run_in_line(self, held: Held, handler: BoundHandler, message: Message) -> Outcome:
        """Run *handler* once there is a thread or a process for it; until then nothing has begun."""
        places = self.calls.places_of(handler)
        has_to_wait = not places.take_at_once()
        if has_to_wait:
            held.stage = IN_LINE
            await places.take()
            held.stage = RUNNING
        held.place = places
        try:
            refused = self._refusal(held.delivery, _expiration(held)) if has_to_wait else None
            return refused or await self._run(held, handler, message)
        finally:
            held.leave_place()  # a middleware may have kept its handler from running

    async def _run(self, held: Held, handler: BoundHandler, message: Message) -> Outcome:
        begun = None
        if self.watched:
            self.emit(Started(route=self.route.name, delivery=held.delivery, message=message))
            begun = self.clock.monotonic()
        held.limit = handler.timeout or self.route.timeout
        held.start_timer()
        try:
            result = await self.calls.of_handler(held, handler, message)
            if result is not None and inspect.isawaitable(result):
                result = await result
            return outcome_of_result(result, falsy_retries=self.route.falsy_retries)
        except Unfit as unfit:
            error = unfit.__cause__ or unfit
            return await self._ask(held, Untranslatable(error), error, message)
        except Exception as error:  # noqa: BLE001 - the boundary around handlers
            return await self._failed(held, error, message)
        finally:
            if begun is not None:
                held.handling = self.clock.monotonic() - begun
            held.stop_timer()

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
        held.limit = held.limit or self.route.timeout
        exc_info = (type(error), error, error.__traceback__)
        try:
            answer = await self.calls.of_error_handler(held, handler, lambda: handler(exc_info, subject))
            return outcome_of_error_handler(answer, outcome)
        except Exception as broken:  # noqa: BLE001 - an error handler is user code
            said = outcome_of_error(broken)
            if not isinstance(said, Failed):
                return said
            self.emit(Alarm(route=self.route.name, text=f"error handler failed: {type(broken).__qualname__}"))
            return outcome


def _is_all_done(outcome: Outcome) -> bool:
    """Whether a late acknowledgement would lose nothing: follow-ups that are still to be published would be lost."""
    return (isinstance(outcome, Handled) and not outcome.follow_ups) or outcome == Asked(Ack())


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


def _expiration(held: Held) -> datetime | None:
    """After which moment it has expired, as far as is known by now."""
    said = held.message.expiration if held.message else None
    return _moment_of(said) or held.delivery.envelope.expiration


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
