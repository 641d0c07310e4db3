"""`pulpo move`, killed where it hurts: a message may be in both queues then, and never in neither."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

from pulpo_core import Ack, Settling, open_queue
from tests.servers import BeanstalkdServer

from .conftest import Shop, wait_until

MANY = 500


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


#: `pulpo` with a worker's worst moment in it: the process is killed when a part of the messages is in the other queue,
#: and not yet out of this one.
KILLED = """
import os, signal, sys
from pulpo_cli.main import main
from pulpo_cli.moving import Moving

remove, calls = Moving._remove, []

async def killed(self, deliveries):
    calls.append(len(deliveries))
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    await remove(self, deliveries)

Moving._remove = killed
main()
"""


def test_a_move_that_is_killed_leaves_messages_in_both_and_loses_none(shop: Shop, beanstalkd: BeanstalkdServer) -> None:
    target = beanstalkd.url(f"killed-{shop.folder.name}-{time.time_ns()}")
    jobs = "\n".join(json.dumps({"type": "mail", "payload": f"message {n}"}) for n in range(MANY))
    assert shop.pulpo("publish", "-q", "--from-file", "-", stdin=jobs).status == 0
    shop.write(KILLED, module="killed")

    source = f"{shop.url}&lease=500ms"  # what was in hand comes back soon
    arguments = ["move", "--queue", source, "--to", target, "--yes", "--json"]
    killed = subprocess.run([sys.executable, "killed.py", *arguments], cwd=shop.folder, timeout=50, check=False)
    assert killed.returncode == -signal.SIGKILL
    wait_until(lambda: shop.pulpo("stats", "--queue", source, "--json").json["reserved"] == 0, "leases ended")
    again = shop.pulpo(*arguments)

    assert (again.status, again.json["moved"]) == (0, MANY - 200), again.err
    there = uids(target)
    assert len(there) == MANY
    assert sum(there.values()) == MANY + 100  # what was in both
    assert shop.counts()["ready"] == 0


def test_the_first_ctrl_c_ends_a_move_in_order_and_its_accounts_are_right(shop: Shop) -> None:
    target = f"file://{shop.folder}/other.db"
    assert shop.pulpo("publish", "-q", "--payload", "x", "--count", "6000").status == 0

    with shop.start("move", "--to", target, "--yes", "--json") as moving:
        wait_until((shop.folder / "other.db").exists, "begun")
        moving.signal(signal.SIGINT)
        ended = moving.end()

    accounts = ended.json
    assert ended.status in {0, 130}, ended.err  # 0 if it was through before the signal came
    assert (accounts["taken"], accounts["in_both"]) == (accounts["moved"], 0)
    assert shop.counts()["ready"] + accounts["moved"] == 6_000
    assert shop.pulpo("stats", "--queue", target, "--json").json["ready"] == accounts["moved"]
