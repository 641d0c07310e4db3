"""The requests that change one queue, each shared by whoever has the same to ask at the same time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from pulpo_core import Unavailable

from .background import Background
from .batching import Answer, Coalescer, Entry, call_batch
from .client import Client
from .codec import size
from .source import Source

log = logging.getLogger("pulpo.adapter.sqs")

#: How long a settlement waits for others to share its request: nothing to a lease, and most of a batch at speed.
LINGER: Final = timedelta(milliseconds=20)

#: One request carried this much before August 2025; servers that say so for a message mean it for a batch as well.
_OLD_BATCH_BYTES: Final = 262_144

#: What no message of SQS lacks, and without which nothing can be done with one.
_ESSENTIAL: Final = frozenset({"MessageId", "ReceiptHandle", "Body"})


class Channel:
    """Sends, receives, deletes and hides messages of one queue."""

    def __init__(self, client: Client, source: Source, tasks: Background, *, linger: timedelta = LINGER) -> None:
        self.client = client
        self.source = source
        self._send = Coalescer[Entry](
            tasks,
            self._send_batch,
            size=entry_size,
            max_bytes=max(source.max_message_bytes, _OLD_BATCH_BYTES),
            in_order=source.fifo,
            linger=LINGER.total_seconds(),
            eager=True,
        )
        self._delete = Coalescer[Entry](tasks, self._delete_batch, linger=linger.total_seconds())
        self._hide = Coalescer[Entry](tasks, self._hide_batch, linger=linger.total_seconds())

    async def send(self, entries: Sequence[Entry]) -> list[Answer]:
        """Store messages; FIFO queues get them one batch after another, in this order."""
        return await self._send.submit(entries)

    async def delete(self, handles: Sequence[str]) -> list[Answer]:
        """Delete what these receipt handles hold."""
        return await self._delete.submit([{"ReceiptHandle": handle} for handle in handles])

    async def hide(self, handles: Mapping[str, int]) -> list[Answer]:
        """Set for how many seconds from now what each receipt handle holds stays invisible."""
        return await self._hide.submit(
            [{"ReceiptHandle": handle, "VisibilityTimeout": seconds} for handle, seconds in handles.items()]
        )

    async def hide_at_once(self, handles: Mapping[str, int]) -> list[Answer]:
        """`hide` for at most ten that came together, without waiting for others."""
        return await self._hide_batch(
            [{"ReceiptHandle": handle, "VisibilityTimeout": seconds} for handle, seconds in handles.items()]
        )

    async def receive(self, count: int, *, visibility: int, wait: int = 0) -> Sequence[Mapping[str, Any]]:
        """Up to *count* messages with all that SQS knows of them, held for *visibility* seconds.

        Args:
            wait: how many seconds SQS waits for the first.
        """
        wanted = {
            "QueueUrl": self.source.url,
            "MaxNumberOfMessages": count,
            "WaitTimeSeconds": wait,
            "VisibilityTimeout": visibility,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        answer = await self.client.call("ReceiveMessage", f"queue {self.source.name!r}", wanted, wait=wait)
        messages: Sequence[Mapping[str, Any]] = answer.get("Messages") or ()
        whole = [message for message in messages if message.keys() >= _ESSENTIAL]
        if len(whole) < len(messages):
            text = f"{len(messages) - len(whole)} messages of queue {self.source.name!r} came without body or receipt"
            if not whole:
                raise Unavailable(text)
            log.warning("%s, and are left to their lease", text)
        return whole

    async def _send_batch(self, entries: Sequence[Entry]) -> list[Answer]:
        return await self._call("SendMessageBatch", entries)

    async def _delete_batch(self, entries: Sequence[Entry]) -> list[Answer]:
        return await self._call("DeleteMessageBatch", entries)

    async def _hide_batch(self, entries: Sequence[Entry]) -> list[Answer]:
        return await self._call("ChangeMessageVisibilityBatch", entries)

    async def _call(self, operation: str, entries: Sequence[Entry]) -> list[Answer]:
        what, target = f"queue {self.source.name!r}", {"QueueUrl": self.source.url}
        return await call_batch(self.client, operation, what, target, entries)


def entry_size(entry: Entry) -> int:
    """Bytes of an entry of SendMessageBatch, as SQS counts them."""
    return size(entry["MessageBody"], entry.get("MessageAttributes") or {})
