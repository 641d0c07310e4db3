"""An id is given once: not again when its message is gone, however it went and whoever took it away."""

import random
import sqlite3
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, room, workplace
from pulpo_adapter_file.operations import Change
from pulpo_adapter_file.queue import FileQueue, open_calls
from pulpo_adapter_file.schema import MIGRATIONS, migrate
from pulpo_adapter_file.settings import Settings
from pulpo_adapter_file.transaction import Transaction
from pulpo_core import (
    Ack,
    Bury,
    Delivery,
    Envelope,
    Queue,
    Release,
    Retry,
    Settling,
    State,
    SystemClock,
    Unsupported,
)

from .conftest import Opener

NO_TIME = timedelta()
FRAME = 24 + 4096  # what a page takes in the log


async def publish(queue: Queue, count: int) -> list[int]:
    answers = await queue.publish([Envelope(body=b"{}", uid="u")] * count)
    return [int(answer) for answer in answers if isinstance(answer, str)]


async def take(queue: Queue, count: int) -> Sequence[Delivery]:
    return await queue.receive(count, NO_TIME)


async def acknowledge(queue: Queue, deliveries: Sequence[Delivery]) -> None:
    assert await queue.settle([Settling(delivery, Ack()) for delivery in deliveries]) == [None] * len(deliveries)


class Life:
    """What happens to messages, by chance; `given` are the ids that were given."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.given: list[int] = []

    async def add(self, queue: Queue) -> None:
        self.given += await publish(queue, self.chance.randint(1, 4))

    async def finish(self, queue: Queue) -> None:
        await acknowledge(queue, await take(queue, self.chance.randint(1, 6)))

    async def follow(self, queue: Queue) -> None:
        for delivery in await take(queue, 1):
            await queue.settle([Settling(delivery, Ack(), [Envelope(body=b"{}")])])

    async def bury(self, queue: Queue) -> None:
        await queue.settle([Settling(delivery, Bury("fatal")) for delivery in await take(queue, 2)])

    async def give_back(self, queue: Queue) -> None:
        settlement = self.chance.choice([Release(), Retry(NO_TIME)])
        await queue.settle([Settling(delivery, settlement) for delivery in await take(queue, 3)])

    async def remove(self, queue: Queue) -> None:
        await queue.delete([str(number) for number in self.given[-2:]])

    async def purge(self, queue: Queue) -> None:
        await queue.purge(frozenset({self.chance.choice([State.READY, State.BURIED])}))

    async def kick(self, queue: Queue) -> None:
        await queue.kick(limit=2)

    async def go_on(self, queue: Queue) -> None:
        steps = [self.add] * 3 + [self.finish] * 2
        steps += [self.follow, self.bury, self.give_back, self.remove, self.purge, self.kick]
        await self.chance.choice(steps)(queue)


@pytest.mark.parametrize("archive", ["", "&archive=3"])
async def test_every_id_is_above_all_that_were_given_before(opened: Opener, archive: str) -> None:
    queues = [await opened(f"queue={name}&durability=normal{archive}") for name in ("orders", "mail")]
    life = Life(random.Random(7))

    for _ in range(300):
        await life.go_on(life.chance.choice(queues))

    assert len(life.given) > 100
    assert life.given == sorted(set(life.given))


@pytest.mark.parametrize("survivors", [0, 1, 3])
async def test_what_another_program_deletes_is_not_given_again(opened: Opener, path: Path, survivors: int) -> None:
    queue = await opened()
    assert await publish(queue, 5) == [1, 2, 3, 4, 5]

    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM message WHERE id > ?", (survivors,))
    connection.commit()
    connection.close()

    assert await publish(queue, 2) == [6, 7]


@pytest.mark.parametrize("kept", [(), (3,), (3, 7)])
async def test_an_older_file_goes_on_where_it_was(opened: Opener, path: Path, kept: Sequence[int]) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, path, MIGRATIONS[:1])
    connection.execute("UPDATE meta SET value = 7 WHERE key = 'sequence'")
    connection.executemany(
        "INSERT INTO message (id, queue, state, priority, published, uid, body) VALUES (?, 1, 0, 1, 0, '', '{}')",
        [(number,) for number in kept],
    )
    connection.close()

    assert await publish(await opened(), 2) == [8, 9]


async def test_who_still_counts_by_the_older_rule_is_refused_rather_than_given_an_id_again(
    opened: Opener, path: Path
) -> None:
    """A process of an older version may have the file open while a newer one brings it forward."""
    queue = await opened()
    assert await publish(queue, 3) == [1, 2, 3]

    connection = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute(
            "INSERT INTO message (id, queue, state, priority, published, uid, body) "
            "SELECT value + 1, 1, 0, 1, 0, '', '{}' FROM meta WHERE key = 'sequence'"
        )
    connection.close()

    assert await publish(queue, 1) == [4]


async def test_what_was_not_stored_has_used_no_id(path: Path) -> None:
    async with open_calls(Settings.of(f"file://{path}"), SystemClock()) as (calls, ear):
        queue = FileQueue(calls, ear, FileAdapter().capabilities)
        assert await publish(queue, 1) == [1]

        def fail(transaction: Transaction) -> None:
            transaction.change("DELETE FROM message")
            transaction.take_ids(100)
            raise Unsupported("after all of that")

        with pytest.raises(Unsupported, match="after all"):
            await calls.ask(Change(calls.desk, fail))

        assert await publish(queue, 1) == [2]
        assert (await queue.stats()).ready == 2


async def test_only_what_removes_the_newest_writes_more_than_its_message(
    opened: Opener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publish is flushed page by page: the message and its place in the order are all that it writes."""
    monkeypatch.setattr(workplace, "ROUND", 3600.0)  # no housekeeping between, which writes a page of its own
    monkeypatch.setattr(room, "write_zeros", lambda *_: 0)  # so that the log tells by its length what was written
    queue = await opened()
    log = path.with_name("shop.db-wal")

    async def pages_of(step: Awaitable[object]) -> int:
        before = log.stat().st_size
        await step
        return (log.stat().st_size - before) // FRAME

    await publish(queue, 2)
    await publish(queue, 1)  # the first round of housekeeping is over when this is answered
    published = [await pages_of(publish(queue, 1)) for _ in range(3)]
    deliveries = await take(queue, 6)
    acknowledged = [await pages_of(acknowledge(queue, [delivery])) for delivery in deliveries]

    assert published == [2, 2, 2], "the message, and the index of the ready"
    assert acknowledged == [3, 2, 2, 2, 2, 2], "the first notes that six were given; then nothing is left to note"
