"""`pulpo move`, killed where it hurts: a message may be in both queues then, and never in neither."""

import asyncio
import json
import signal
from collections import Counter
from datetime import timedelta

from pulpo_core import Ack, Settling, open_queue
from tests.servers import BeanstalkdServer

from .conftest import Shop, wait_until

MANY = 6_000


def uids(url: str) -> Counter[str]:
    """What is ready in a queue, and how often; the queue is empty after it."""

    async def take() -> Counter[str]:
        found: Counter[str] = Counter()
        async with open_queue(url) as queue:
            while deliveries := await queue.receive(500, timedelta()):
                found.update(json.loads(each.envelope.body)["body"]["payload"] for each in deliveries)
                await queue.settle([Settling(each, Ack()) for each in deliveries])
        return found

    return asyncio.run(take())


def ready(url: str) -> int:
    """How many are ready."""

    async def count() -> int:
        async with open_queue(url) as queue:
            return (await queue.stats()).ready or 0

    return asyncio.run(count())


def test_a_move_that_is_killed_loses_nothing_and_can_be_repeated(shop: Shop, beanstalkd: BeanstalkdServer) -> None:
    target = beanstalkd.url(f"killed-{shop.folder.name}")
    jobs = "\n".join(json.dumps({"type": "mail", "payload": f"message {n}"}) for n in range(MANY))
    assert shop.pulpo("publish", "-q", "--from-file", "-", stdin=jobs).status == 0

    source = f"{shop.url}&lease=1s"  # so that what was in hand comes back while the test waits
    with shop.start("move", "--queue", source, "--to", target, "--yes") as moving:
        wait_until(
            lambda: shop.pulpo("stats", "--queue", target, "--json").json["ready"] or moving.process.poll(), "begun"
        )
        moving.signal(signal.SIGKILL)
        moving.process.wait()
    wait_until(lambda: shop.pulpo("stats", "--queue", source, "--json").json["reserved"] == 0, "leases ended")
    again = shop.pulpo("move", "--queue", source, "--to", target, "--yes", "--json")
    assert again.status == 0, again.err
    assert again.json["moved"] > 0  # the first one was killed in the middle

    there = uids(target)
    assert len(there) == MANY
    assert max(there.values()) <= 2  # once by each of the two moves
    assert sum(shop.counts()[name] for name in ("ready", "reserved", "buried")) == 0


def test_the_first_ctrl_c_ends_a_move_in_order_and_its_accounts_are_right(shop: Shop) -> None:
    target = f"file://{shop.folder}/other.db"
    assert shop.pulpo("publish", "-q", "--payload", "x", "--count", str(MANY)).status == 0

    with shop.start("move", "--to", target, "--yes", "--json") as moving:
        wait_until((shop.folder / "other.db").exists, "begun")
        moving.signal(signal.SIGINT)
        ended = moving.end()

    accounts = ended.json
    assert ended.status in {0, 130}, ended.err  # 0 if it was through before the signal came
    assert (accounts["taken"], accounts["in_both"]) == (accounts["moved"], 0)
    assert shop.counts()["ready"] + accounts["moved"] == MANY
    assert shop.pulpo("stats", "--queue", target, "--json").json["ready"] == accounts["moved"]
