"""Where buried messages go, and whether what is received can be settled at all.

The target of the queue's redrive policy, else the queue that is configured with ``dlq=``, else the
queue of the same name with ``-buried``. So what pulpo buries and what AWS itself sets aside are in
one place. It is looked up when first needed, and never created.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from pulpo_core import AdapterError, ConfigurationError, PermissionDenied, QueueNotFound

from .address import Address, buried_name, parse_address
from .background import Background
from .channel import Channel
from .client import Client
from .source import Source, find

log = logging.getLogger("pulpo.adapter.sqs")

#: A receipt handle that holds nothing. AWS looks at permissions first: without them it refuses the
#: request, with them the handle, and neither changes a message.
_PROBE: Final = "pulpo-asks-for-permission"

#: A hop of a long delay may fail so often before SQS should take the message for one that nobody can handle.
_HOP_TRIES: Final = 5

_PROBES: Final[Mapping[str, Mapping[str, Any]]] = {
    "DeleteMessageBatch": {"Id": "0", "ReceiptHandle": _PROBE},
    "ChangeMessageVisibilityBatch": {"Id": "0", "ReceiptHandle": _PROBE, "VisibilityTimeout": 0},
}


@attrs.define(slots=True, eq=False)
class Graveyard:
    """Finds the queue for what is buried from each queue of a set.

    Attributes:
        dlq: the queue that was configured for those without a redrive policy.
        hops: whether messages with long delays are received before their time.
    """

    _client: Client
    _tasks: Background
    dlq: Address | None = None
    hops: bool = False
    _found: dict[str, Channel] = attrs.field(factory=dict, init=False)

    async def of(self, channel: Channel) -> Channel:
        """The queue in which messages of *channel* are buried.

        Raises:
            QueueNotFound: there is none; the text says how to have one.
            ConfigurationError: it could not hold every message of *channel*.
        """
        found = self._found.get(channel.source.url)
        if found is None:
            target = await self._find(channel.source)
            _check_target(channel.source, target)
            found = next((each for each in self._found.values() if each.source.arn == target.arn), None)
            found = found or Channel(self._client, target, self._tasks)
            self._found[channel.source.url] = found
        return found

    async def _find(self, source: Source) -> Source:
        redrive = parse_address(source.dead_letter_arn) if source.dead_letter_arn else None
        if redrive and self.dlq and redrive.name != self.dlq.name:
            log.warning(
                "queue %r buries in %r, the target of its redrive policy; dlq=%s is not used for it",
                *(source.name, redrive.name, self.dlq.name),
            )
        address = redrive or self.dlq
        if address is not None:
            return await find(self._client, address)
        try:
            return await find(self._client, Address(name=buried_name(source.name)))
        except QueueNotFound as error:
            raise QueueNotFound(
                f"queue {source.name!r} has nowhere to bury messages: give it a dead-letter queue, name one with"
                f" dlq=, or create {buried_name(source.name)!r} (`pulpo queue create` does either)"
            ) from error

    async def check(self, channels: Iterable[Channel]) -> None:
        """Make sure that messages of *channels* can be deleted, hidden and buried.

        Raises:
            PermissionDenied: the credentials may not do one of these; the text names it.
            QueueNotFound, ConfigurationError: see `of`.
        """
        for channel in channels:
            if channel.source.denied is not None:
                raise PermissionDenied(
                    f"a consumer must know the limits and the redrive policy of its queue: {channel.source.denied}"
                )
            self._warn_of_few_receives(channel.source)
            probes = [self._probe(channel.source, operation, entry) for operation, entry in _PROBES.items()]
            await self._tasks.run_all([self.of(channel), *probes])

    def _warn_of_few_receives(self, source: Source) -> None:
        if self.hops and source.max_receives is not None and source.max_receives < _HOP_TRIES:
            log.warning(
                "queue %r moves messages on after %d receives: one with a long delay is received for each try"
                " to send it on, so raise maxReceiveCount to %d at least",
                *(source.name, source.max_receives, _HOP_TRIES),
            )

    async def _probe(self, source: Source, operation: str, entry: Mapping[str, Any]) -> None:
        try:
            await self._client.call(operation, f"queue {source.name!r}", {"QueueUrl": source.url, "Entries": [entry]})
        except AdapterError as error:
            if error.temporary:
                raise


def _check_target(source: Source, target: Source) -> None:
    if target.arn == source.arn:
        raise ConfigurationError(f"queue {source.name!r} cannot bury messages in itself")
    if target.max_message_bytes < source.max_message_bytes:
        raise ConfigurationError(
            f"queue {target.name!r} takes messages of {target.max_message_bytes:,} bytes, but queue {source.name!r}"
            f" of {source.max_message_bytes:,}: what is buried from it must fit, so raise MaximumMessageSize"
        )
