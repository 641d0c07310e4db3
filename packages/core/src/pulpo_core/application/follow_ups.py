"""Messages that follow from handling one: published before, or together with, its acknowledgement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from pulpo_core.domain.decision import Tally
from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import AdapterError
from pulpo_core.domain.message import Message
from pulpo_core.domain.settlement import Ack, FollowUp
from pulpo_core.ports.adapter import Publisher
from pulpo_core.ports.observer import Event, Published, PublishFailed

from .answers import answer_of
from .held import Held
from .identity import follow_up_uid
from .publishing import Encoder, announce, publish_to

#: Opens, or finds open, the queue that a URL names, with an encoder for it.
OpenOther = Callable[[str], Awaitable[tuple[Publisher, Encoder]]]


@attrs.frozen(kw_only=True, eq=False)
class FollowUps:
    """Publishes the follow-ups of one route.

    Attributes:
        queue, url: the route's own, where they go unless they name another.
        emit: told what was published and what was not; `None` where nobody wants to know.
    """

    queue: Publisher
    url: str
    encoder: Encoder
    open_other: OpenOther
    emit: Callable[[Event], None] | None = None

    async def attach(self, held: Held, ack: Ack) -> None:
        """Have every follow-up of *ack* in its queue, or, where the queue can, ready to go with the settlement.

        Their uids follow from the parent's, so that a delivery that is handled twice makes the same ones.

        Raises:
            PulpoError: one of them is not confirmed; the delivery must not be acknowledged.
        """
        own: list[tuple[Message, Envelope]] = []
        parent = held.message.uid if held.message and held.message.uid else held.delivery.id
        for index, follow_up in enumerate(ack.follow_ups):
            uid = follow_up_uid(parent, index)
            if isinstance(follow_up, FollowUp):
                await self._publish_elsewhere(held, follow_up, uid)
            else:
                own.append(_encoded(self.encoder, held, follow_up, uid))
        if not self.encoder.capabilities.atomic_follow_ups:
            await self._publish(self.queue, self.url, own)
            return
        held.follow_ups = tuple(envelope for _, envelope in own)
        held.announced = tuple(message for message, _ in own) if self.emit else ()

    def tell(self, held: Held, column: Tally) -> None:
        """Say what became of those that went with the acknowledgement of *held*; it is in *column* now."""
        for message in held.announced:
            if column is Tally.ACKED:
                event: Event = Published(queue=self.url, message=message)
            else:
                error = AdapterError(f"the message that it follows was not acknowledged: {column}")
                event = PublishFailed(queue=self.url, message=message, error=error)
            if self.emit is not None:
                self.emit(event)

    async def _publish_elsewhere(self, held: Held, follow_up: FollowUp, uid: str) -> None:
        queue, encoder = await answer_of(self.open_other(follow_up.queue))
        await self._publish(queue, follow_up.queue, [_encoded(encoder, held, follow_up.message, uid)])

    async def _publish(self, queue: Publisher, url: str, encoded: list[tuple[Message, Envelope]]) -> None:
        if not encoded:
            return
        answers = await publish_to(queue, [envelope for _, envelope in encoded])
        if self.emit:
            announce(self.emit, url, [message for message, _ in encoded], answers)
        for answer in answers:
            if isinstance(answer, AdapterError):
                raise answer


def _encoded(encoder: Encoder, held: Held, message: Message, uid: str) -> tuple[Message, Envelope]:
    """Inside the context in which its cause was handled: publish middleware sees what the handler has set there."""
    if held.context is None:
        return encoder.encode(message, uid=uid)
    return held.context.run(encoder.encode, message, uid=uid)
