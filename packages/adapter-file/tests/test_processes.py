"""Eight processes on one file: everything is handled, once, and nobody hears of locks."""

from collections import Counter
from pathlib import Path

from .stage import Actor, stage, until


def uids(lines: list[list[str]]) -> Counter[str]:
    return Counter(line[0] for line in lines)


def merged(actors: list[Actor], word: str) -> Counter[str]:
    return sum((uids(actor.said(word)) for actor in actors), Counter())


async def test_eight_processes_share_one_file(path: Path) -> None:
    url, each = f"file://{path}?lease=60s", 500
    async with stage() as start:
        producers = [await start("publish", url, f"p{number}", 4, each) for number in range(4)]
        workers = [await start("work", url, 5, 2) for _ in range(4)]
        statuses = [await actor.end() for actor in producers + workers]

    everything = Counter(f"p{number}-{count}" for number in range(4) for count in range(each))
    assert statuses == [0] * 8, "no error reached anybody"
    assert merged(producers, "ok") == everything
    assert len({name for producer in producers for _, name in producer.said("ok")}) == 4 * each, "nor an id given twice"
    assert merged(workers, "acked") == everything, "none lost, none handled twice"
    assert not merged(workers, "refused")
    assert not merged(producers, "failed")


async def test_nobody_starves(path: Path) -> None:
    """Processes that publish as fast as they can get comparable shares."""
    async with stage() as start:
        producers = [await start("publish", f"file://{path}", f"p{number}", 1) for number in range(4)]
        for producer in producers:
            await producer.until("ok")
        before = [len(producer.said("ok")) for producer in producers]
        await until(lambda: sum(len(producer.said("ok")) for producer in producers) >= sum(before) + 2000)
        shares = [len(producer.said("ok")) - first for producer, first in zip(producers, before, strict=True)]

    assert min(shares) > sum(shares) / len(shares) / 4, shares


async def test_processes_that_create_the_file_at_once_agree(tmp_path: Path) -> None:
    for round_ in range(3):
        url = f"file://{tmp_path}/shop-{round_}.db"
        async with stage() as start:
            producers = [await start("publish", url, f"p{number}", 1, 5) for number in range(4)]
            assert [await producer.end() for producer in producers] == [0] * 4
            worker = await start("work", url, 50, 0.2)
            assert await worker.end() == 0

            assert merged(producers, "ok") == merged([worker], "acked")
