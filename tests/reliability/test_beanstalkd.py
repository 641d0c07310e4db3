"""beanstalkd under fire: workers and brokers are killed, connections cut, and every message is accounted for."""

import attrs
import pytest

from tests.reliability.arenas import beanstalkd_arena
from tests.reliability.campaign import Plan, campaign, check, check_bounds, published_and_ruined
from tests.servers import BeanstalkdServer
from tests.soak import share


@pytest.fixture
def arena(tmp_path):
    with beanstalkd_arena(tmp_path) as arena:
        yield arena


@pytest.mark.timeout(240)
async def test_killed_workers_and_producers_lose_nothing(arena, tmp_path):
    faults = {"worker killed": 10, "producer killed": 3, "workers stopped": 1}
    plan = Plan(messages=450, backlog=8_000, faults=faults, steps=True)
    accounts = await campaign(arena, plan, tmp_path / "campaign")

    check_bounds(accounts)
    assert len(accounts.died) >= 10


@pytest.mark.timeout(240)
async def test_a_broker_that_dies_and_restarts_loses_nothing(arena, tmp_path):
    faults = {"broker killed": 3, "broker restarted": 2, "broker paused": 1}

    await campaign(arena, Plan(messages=600, workers=2, faults=faults), tmp_path / "campaign")


@pytest.mark.timeout(240)
async def test_cut_and_slow_connections_lose_nothing(arena, tmp_path):
    faults = {"connections cut": 8, "connections slow": 3}

    await campaign(arena, Plan(messages=400, workers=2, faults=faults), tmp_path / "campaign")


@pytest.mark.timeout(120)
async def test_the_accounts_tell_when_messages_are_lost(arena, tmp_path):
    """The control: a broker without a log is killed with a backlog."""
    with BeanstalkdServer() as forgetful:
        arena = attrs.evolve(arena, url=forgetful.url("t"), direct_url=forgetful.url("t"))

        async def kill():
            forgetful.kill()
            forgetful.start()

        accounts = await published_and_ruined(arena, 500, tmp_path / "campaign", kill)

    assert len(accounts.confirmed) == len(accounts.lost) == 500
    with pytest.raises(AssertionError, match="lost"):
        check(accounts, [])


@pytest.mark.soak
async def test_everything_at_once_for_long(arena, tmp_path):
    faults = {"worker killed": 30, "producer killed": 6, "workers stopped": 4, "worker frozen": 3}
    faults |= {"broker killed": 3, "broker restarted": 2, "broker paused": 2, "connections cut": 10}
    plan = Plan(messages=3_000, workers=4, faults=faults, steps=True, minutes=share("campaign"))

    await campaign(arena, plan, tmp_path / "campaign")
