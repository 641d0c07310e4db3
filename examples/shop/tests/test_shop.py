"""The shop on a queue in memory: parts are overridden, everything else is as in production."""

import asyncio
from contextlib import contextmanager

import pytest
from dependency_injector import providers
from shop.container import App
from shop.database import OutOfStockError
from shop.handlers import PlaceOrder
from shop.messages import Item, Order

from pulpo_core import Message, Scope, open_publisher
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.config import RouteSettings, Settings
from pulpo_core.container import manager_of

QUEUE = "memory://shop"
LAMP = {"number": 1, "customer": "ada@example.org", "items": [{"sku": "lamp", "quantity": 2}]}


class FakeMailer:
    """Remembers what would have been sent."""

    def __init__(self) -> None:
        self.sent = []

    async def send(self, to: str, subject: str) -> None:
        self.sent.append((to, subject))


@pytest.fixture
def app(tmp_path):
    """The application with a database of its own, mail that goes nowhere, and a queue in memory."""
    app = App(config={"database": str(tmp_path / "shop.db")})
    app.fake_mailer = FakeMailer()
    app.mailer.override(providers.Object(app.fake_mailer))
    app.pulpo.adapter.override(providers.Object(MemoryAdapter()))
    settings = Settings(queue=QUEUE, burst=True, routes={"shop": RouteSettings(concurrency=1)})
    app.pulpo.settings.override(providers.Object(settings))
    return app


def handled(app, *bodies, request_type="place_order"):
    """What becomes of *bodies*."""

    async def main():
        async with open_publisher(QUEUE, adapter=app.pulpo.adapter()) as publisher:
            for body in bodies:
                await publisher.publish(Message(request_type=request_type, body=body))
            return await manager_of(app).serve()

    report = asyncio.run(main())
    assert report.error is None
    return report.ledger


def test_an_order_is_placed_and_its_invoice_sent(app):
    ledger = handled(app, LAMP)

    assert ledger.acked == 2  # the order, and the invoice that follows it
    assert app.fake_mailer.sent == [("ada@example.org", "order 1 comes to 80")]


def test_the_same_order_twice_is_one_order(app):
    handled(app, LAMP, LAMP)

    assert {subject for _, subject in app.fake_mailer.sent} == {"order 1 comes to 80"}


def test_what_is_out_of_stock_is_tried_again_and_nothing_is_taken(app):
    ledger = handled(app, {**LAMP, "items": [{"sku": "desk"}, {"sku": "vase"}]})
    again = handled(app, {**LAMP, "number": 2, "items": [{"sku": "desk", "quantity": 5}]})

    assert (ledger.retried, again.acked) == (1, 2)


def test_an_order_of_nobody_is_buried(app):
    assert handled(app, {**LAMP, "customer": "nobody"}).buried == 1


def test_an_order_that_is_none_is_buried_unhandled(app):
    assert handled(app, {"number": "one"}).buried == 1


def test_a_handler_alone_needs_no_queue():
    class Nothing:
        def total_of(self, number):
            return None

        def place(self, order):
            raise OutOfStockError("vase")

    answer = PlaceOrder(Nothing()).handle(Order(1, "ada@example.org", [Item("vase")]))

    assert "out of stock: vase" in str(answer)


def test_without_its_database_the_shop_tries_again(app):
    @contextmanager
    def closed():
        raise ConnectionError("the database is down")
        yield

    app.sessions.override(providers.Object(Scope(closed)))

    assert handled(app, LAMP).retried == 1
