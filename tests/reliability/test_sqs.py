"""SQS under fire, on a server of our own: processes are killed, connections cut, and the server stands still."""

import pytest

from tests.reliability.arenas import create_sqs_queue, sqs_arena
from tests.reliability.campaign import Plan, campaign, check, check_bounds, published_and_ruined
from tests.soak import share


@pytest.fixture
async def arena(tmp_path, aws_credentials):
    with sqs_arena(tmp_path) as arena:
        await create_sqs_queue(arena)
        yield arena


@pytest.mark.timeout(240)
async def test_killed_workers_and_producers_lose_nothing(arena, tmp_path):
    faults = {"worker killed": 10, "producer killed": 2, "workers stopped": 1}
    # None of these kills its worker: SQS does not tell crashes from returns, so that would go on for many leases.
    plan = Plan(messages=450, backlog=2_000, faults=faults, steps=True)
    accounts = await campaign(arena, plan, tmp_path / "campaign")

    check_bounds(accounts)
    assert len(accounts.died) >= 10


@pytest.mark.timeout(240)
async def test_cut_connections_and_a_server_that_stands_still_lose_nothing(arena, tmp_path):
    faults = {"connections cut": 6, "connections slow": 2, "broker paused": 2}
    plan = Plan(messages=400, workers=2, faults=faults)

    check_bounds(await campaign(arena, plan, tmp_path / "campaign"))


@pytest.mark.timeout(120)
async def test_the_accounts_tell_when_messages_are_lost(arena, tmp_path):
    """The control: a server that forgets, as SQS never does."""

    async def forget():
        arena.broker_faults["broker forgets"]()
        await create_sqs_queue(arena)

    accounts = await published_and_ruined(arena, 500, tmp_path / "campaign", forget)

    assert len(accounts.confirmed) == len(accounts.lost) == 500
    with pytest.raises(AssertionError, match="lost"):
        check(accounts, [])


@pytest.mark.soak
async def test_everything_at_once_for_long(arena, tmp_path):
    faults = {"worker killed": 30, "producer killed": 6, "workers stopped": 4, "worker frozen": 3}
    faults |= {"connections cut": 15, "connections slow": 5, "broker paused": 5}
    plan = Plan(messages=3_000, workers=4, faults=faults, steps=True, minutes=share("campaign"))

    check_bounds(await campaign(arena, plan, tmp_path / "campaign"))
