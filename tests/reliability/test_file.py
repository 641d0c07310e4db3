"""The queue in a file under fire: workers and producers are killed, and every message is accounted for."""

import sqlite3
from contextlib import closing

import pytest

from tests.reliability.arenas import file_arena
from tests.reliability.campaign import Plan, campaign, check, check_bounds, published_and_ruined
from tests.soak import share


@pytest.fixture
def arena(tmp_path):
    with file_arena(tmp_path) as arena:
        yield arena


@pytest.mark.timeout(240)
async def test_killed_workers_and_producers_lose_nothing(arena, tmp_path):
    faults = {"worker killed": 10, "producer killed": 3, "workers stopped": 2}
    plan = Plan(messages=600, backlog=10_000, faults=faults, steps=True)
    accounts = await campaign(arena, plan, tmp_path / "campaign")

    check_bounds(accounts)
    assert len(accounts.died) >= 10


@pytest.mark.timeout(240)
async def test_a_full_disk_loses_nothing(arena, tmp_path):
    plan = Plan(messages=300, backlog=2_000, workers=2, faults={"worker killed": 2}, full=True)
    accounts = await campaign(arena, plan, tmp_path / "campaign")

    check_bounds(accounts)


@pytest.mark.timeout(120)
async def test_the_accounts_tell_when_messages_are_lost(arena, tmp_path):
    """The control: somebody deletes messages with a tool of SQLite."""

    async def ruin():
        with closing(sqlite3.connect(tmp_path / "queue.db")) as database, database:
            database.execute("DELETE FROM message")

    accounts = await published_and_ruined(arena, 500, tmp_path / "campaign", ruin)

    assert len(accounts.confirmed) == len(accounts.lost) == 500
    with pytest.raises(AssertionError, match="lost"):
        check(accounts, [])


@pytest.mark.soak
async def test_everything_at_once_for_long(arena, tmp_path):
    faults = {"worker killed": 40, "producer killed": 8, "workers stopped": 4, "worker frozen": 4}
    plan = Plan(messages=4_000, workers=4, faults=faults, steps=True, minutes=share("campaign"))

    check_bounds(await campaign(arena, plan, tmp_path / "campaign"))
