"""Publish: what many tasks publish at the same time shares requests."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from pulpo_core import DEFAULT_PRIORITY, AdapterError, Clock, Envelope, Jitter, Unsupported

from .background import Background
from .batching import Answer
from .channel import Channel
from .codec import encode, fifo_id
from .copies import MAX_DELAY, delay_of
from .source import Source


@attrs.define(slots=True, eq=False, kw_only=True)
class SqsPublisher:
    """The `Publisher` face of an open queue.

    Attributes:
        bounds: of several queues, the first priority of each but the first.
        long_delays: whether delays longer than SQS knows are carried on by the consumers.
    """

    channels: Sequence[Channel]
    clock: Clock
    jitter: Jitter
    tasks: Background
    bounds: Sequence[int] = ()
    long_delays: bool = False

    async def publish(self, batch: Sequence[Envelope]) -> Sequence[str | AdapterError]:
        """See `Publisher.publish`.

        Raises:
            ConfigurationError: the queue is gone, or may not be sent to.
        """
        self.tasks.check_open()
        answers: list[str | AdapterError] = [AdapterError("not sent")] * len(batch)
        places: dict[Channel, list[tuple[int, Mapping[str, Any]]]] = {}
        for place, envelope in enumerate(batch):
            channel = self.channels[bisect_right(self.bounds, envelope.priority)]
            try:
                entry = self._entry(envelope, channel.source)
            except AdapterError as error:
                answers[place] = error
            else:
                places.setdefault(channel, []).append((place, entry))
        for channel, entries in places.items():
            sent = await channel.send([entry for _, entry in entries])
            for (place, _), answer in zip(entries, sent, strict=True):
                answers[place] = _id_or_error(answer)
        return answers

    def _entry(self, envelope: Envelope, source: Source) -> Mapping[str, Any]:
        self._check(envelope, source)
        seconds, not_before = self._delay(envelope.not_before, source)
        entry = encode(envelope, source, delay_seconds=seconds, not_before=not_before)
        if source.fifo:
            entry |= self._fifo(envelope, source)
        return entry

    def _check(self, envelope: Envelope, source: Source) -> None:
        if envelope.priority != DEFAULT_PRIORITY and len(self.channels) == 1:
            raise Unsupported(f"priority {envelope.priority}: name several queues for that, sqs://high,normal,low")
        if envelope.group is not None and not source.fifo:
            raise Unsupported(f"group {envelope.group!r}: queue {source.name!r} is not a FIFO queue and keeps no order")

    def _delay(self, until: datetime | None, source: Source) -> tuple[int, datetime | None]:
        seconds, not_before = delay_of(until, self.clock.now()) if until is not None else (0, None)
        if seconds and source.fifo:
            raise Unsupported(
                f"queue {source.name!r} is a FIFO queue: SQS delays its messages all alike, or not at all"
            )
        if not_before is not None and not self.long_delays:
            raise Unsupported(
                f"queue {source.name!r} delays by up to {MAX_DELAY}; longer delays need long_delay=hop in the URL,"
                " and a consumer that runs meanwhile"
            )
        return seconds, not_before

    def _fifo(self, envelope: Envelope, source: Source) -> Mapping[str, str]:
        """Group and deduplication id. A message without a group is a group of its own: nobody waits for it."""
        uid = envelope.uid or f"{self.jitter.getrandbits(128):032x}"
        ids = {"MessageGroupId": fifo_id(envelope.group or uid)}
        if envelope.dedup_id or not source.content_dedup:
            ids["MessageDeduplicationId"] = fifo_id(envelope.dedup_id or uid)
        return ids


def _id_or_error(answer: Answer) -> str | AdapterError:
    return answer if isinstance(answer, AdapterError) else str(answer["MessageId"])
