"""Messages that follow from handling one: published before, or together with, its acknowledgement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from pulpo_core.domain.envelope import Envelope
from pulpo_core.domain.errors import AdapterError
from pulpo_core.domain.message import Message
from pulpo_core.domain.settlement import Ack, FollowUp
from pulpo_core.ports.adapter import Publisher

from .answers import answer_of
from .held import Held
from .identity import follow_up_uid
from .publishing import Encoder

#: Opens, or finds open, the queue that a URL names, with an encoder for it.
OpenOther = Callable[[str], Awaitable[tuple[Publisher, Encoder]]]


@attrs.frozen(kw_only=True, eq=False)
class FollowUps:
    """Publishes the follow-ups of one route.

    Attributes:
        queue: the route's own, where they go unless they name another.
    """

    queue: Publisher
    encoder: Encoder
    open_other: OpenOther

    async def attach(self, held: Held, ack: Ack) -> None:
        """Have every follow-up of *ack* in its queue, or, where the queue can, ready to go with the settlement.

        Their uids follow from the parent's, so that a delivery that is handled twice makes the same ones.

        Raises:
            PulpoError: one of them is not confirmed; the delivery must not be acknowledged.
        """
        own: list[Envelope] = []
        parent = held.message.uid if held.message and held.message.uid else held.delivery.id
        for index, follow_up in enumerate(ack.follow_ups):
            uid = follow_up_uid(parent, index)
            if isinstance(follow_up, FollowUp):
                await self._publish_elsewhere(follow_up, uid)
            else:
                own.append(self._encoded(follow_up, uid))
        if self.encoder.capabilities.atomic_follow_ups:
            held.follow_ups = tuple(own)
        else:
            await _publish(self.queue, own)

    def _encoded(self, message: Message, uid: str) -> Envelope:
        return self.encoder.encode(message, uid=uid)[1]

    async def _publish_elsewhere(self, follow_up: FollowUp, uid: str) -> None:
        queue, encoder = await answer_of(self.open_other(follow_up.queue))
        await _publish(queue, [encoder.encode(follow_up.message, uid=uid)[1]])


async def _publish(queue: Publisher, envelopes: list[Envelope]) -> None:
    if not envelopes:
        return
    for answer in await answer_of(queue.publish(envelopes)):
        if isinstance(answer, AdapterError):
            raise answer
