"""Handlers that are made anew for each message."""

import asyncio
import functools

import attrs
import pytest

from pulpo_core import HandlerError, Handlers, Message, PerMessage, Policy, Route, as_table
from pulpo_core.testing import virtual_time

from .fakes import fresh_url, payload, publish, run


@attrs.frozen
class Order:
    number: int


class Place:
    made = 0

    def __init__(self, shop="the shop"):
        Place.made += 1
        self.shop = shop
        self.order = None

    async def handle(self, order: Order):
        assert self.order is None
        self.order = order
        SEEN.append((self.shop, order))


class Called:
    def __call__(self, payload, message: Message):
        SEEN.append((payload, message.request_type))


SEEN = []


@pytest.fixture(autouse=True)
def _afresh():
    SEEN.clear()
    Place.made = 0


def only(handlers):
    [bound] = as_table(handlers)
    return bound


@virtual_time
async def test_each_message_has_a_handler_of_its_own():
    url, handlers = fresh_url(), Handlers()
    handlers.add("order", PerMessage(Place))
    await publish(url, *(Message(request_type="order", body={"number": n}) for n in (1, 2)))

    worker = await run(Route(url, handlers))

    assert worker.ledger.acked == 2
    assert [("the shop", Order(1)), ("the shop", Order(2))] == SEEN
    assert Place.made == 2


def test_none_is_made_to_find_out_what_it_wants():
    handlers = Handlers()
    handlers.add("order", PerMessage(Place))

    assert Place.made == 0
    assert only(handlers).name.endswith("test_making:Place")
    assert only(handlers).parameters == {"order": "Order from body"}
    assert str(only(handlers).runs_in) == "loop"


@virtual_time
async def test_what_makes_it_may_be_awaited():
    async def make():
        await asyncio.sleep(1)
        return Place("another shop")

    url, handlers = fresh_url(), Handlers()
    handlers.add("order", PerMessage(Place, make))
    await publish(url, Message(request_type="order", body={"number": 1}))

    await run(Route(url, handlers))

    assert [("another shop", Order(1))] == SEEN


@virtual_time
async def test_a_plain_method_runs_in_a_thread():
    url, handlers = fresh_url(), Handlers()
    handlers.add("job", PerMessage(Called))
    await publish(url, payload(3))

    await run(Route(url, handlers))

    assert str(only(handlers).runs_in) == "thread"
    assert SEEN == [(3, "job")]


@virtual_time
async def test_one_that_cannot_be_made_is_a_failure_of_its_message():
    def make():
        raise ConnectionError

    url, handlers = fresh_url(), Handlers()
    handlers.add("order", PerMessage(Place, make))
    await publish(url, Message(request_type="order", body={"number": 1}))

    worker = await run(Route(url, handlers, policy=Policy(max_attempts=1)))

    assert worker.ledger.buried == 1


@virtual_time
async def test_it_is_made_inside_the_middleware():
    order = []

    async def middleware(message, delivery, call_next):
        order.append("middleware")
        return await call_next(message, delivery)

    def make():
        order.append("made")
        return Place()

    url, handlers = fresh_url(), Handlers()
    handlers.add("order", PerMessage(Place, make))
    await publish(url, Message(request_type="order", body={"number": 1}))

    await run(Route(url, handlers, middleware=[middleware]))

    assert order == ["middleware", "made"]


@virtual_time
async def test_a_function_may_be_made_too():
    async def place(order: Order, shop):
        SEEN.append((shop, order))

    made = functools.partial(place, shop="a shop")
    url, handlers = fresh_url(), Handlers()
    handlers.add("order", PerMessage(made, lambda: made))
    await publish(url, Message(request_type="order", body={"number": 1}))

    await run(Route(url, handlers))

    assert [("a shop", Order(1))] == SEEN


@pytest.mark.parametrize("like", [Order, 3], ids=["a class without handle", "a number"])
def test_what_cannot_be_called_is_refused_at_registration(like):
    with pytest.raises(HandlerError, match="what it makes cannot be called and has no method 'handle'"):
        Handlers().add("x", PerMessage(like))
