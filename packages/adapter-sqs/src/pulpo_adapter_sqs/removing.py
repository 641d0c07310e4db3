"""Names of queues that are made to be thrown away, and throwing them away."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pulpo_core import QueueNotFound

from .address import BURIED_SUFFIX, FIFO_SUFFIX, Address, buried_name
from .client import Client
from .source import find

_LONGEST_NAME: Final = 80


def scratch_name(like: Address, name: str) -> str:
    """A name that begins as that of *like*, so that permissions by prefix hold, and goes on with *name*."""
    suffix = FIFO_SUFFIX if like.fifo else ""
    room = _LONGEST_NAME - len(f"-{name}{BURIED_SUFFIX}{FIFO_SUFFIX}")
    return f"{like.name.removesuffix(FIFO_SUFFIX)[:room]}-{name}{suffix}"


async def remove(client: Client, addresses: Sequence[Address]) -> None:
    """Delete the queues at *addresses*, each with the queue in which it buries; missing ones are no error."""
    for address in addresses:
        for each in (address, Address(name=buried_name(address.name))):
            with suppress(QueueNotFound):
                source = await find(client, each)
                await client.call("DeleteQueue", f"queue {source.name!r}", {"QueueUrl": source.url})
