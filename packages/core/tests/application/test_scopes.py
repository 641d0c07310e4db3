"""Something of its own for each message: opened before its handler, closed before it is settled."""

import asyncio
import threading
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta

import pytest

from pulpo_core import Ack, Bury, Handlers, Policy, PulpoError, RejectMessage, Retry, Route, Scope
from pulpo_core.testing import virtual_time

from .fakes import fresh_url, payload, publish, reasons, run

ONCE = Policy(max_attempts=1)


class Sessions:
    """What a database would hear."""

    def __init__(self) -> None:
        self.heard = []

    @asynccontextmanager
    async def open(self):
        self.heard.append("begin")
        try:
            yield self
        except BaseException as error:
            self.heard.append(f"rollback after {type(error).__name__.lstrip('_')}")
            raise
        self.heard.append("commit")

    @contextmanager
    def open_blocking(self):
        self.heard.append("begin")
        try:
            yield self
        except Exception:
            self.heard.append("rollback")
            raise
        self.heard.append("commit")


async def handled(handler, sessions, **options):
    """Handle one message by *handler* inside of a scope; what happened to it."""
    url, scope = fresh_url(), Scope(sessions.open)
    await publish(url, payload(1))
    worker = await run(Route(url, handler, middleware=[scope], policy=ONCE, **options))
    return worker.ledger


@pytest.mark.parametrize("result", [None, "done", Ack()], ids=repr)
def test_what_is_acknowledged_is_committed(result):
    sessions = Sessions()

    @virtual_time
    async def main():
        async def handler(payload):
            sessions.heard.append("handled")
            return result

        assert (await handled(handler, sessions)).acked == 1

    main()

    assert sessions.heard == ["begin", "handled", "commit"]


@pytest.mark.parametrize("result", [False, Retry(), Bury("no such customer")], ids=["False", "Retry", "Bury"])
def test_what_a_handler_says_is_not_done_is_rolled_back(result):
    sessions = Sessions()

    @virtual_time
    async def main():
        async def handler(payload):
            return result

        assert (await handled(handler, sessions)).acked == 0

    main()

    assert sessions.heard == ["begin", "rollback after NotDone"]


@virtual_time
async def test_a_settlement_survives_its_rollback():
    url, sessions = fresh_url(), Sessions()
    await publish(url, payload(1))

    async def handler(payload):
        return Bury("no such customer")

    await run(Route(url, handler, middleware=[Scope(sessions.open)]))

    assert await reasons(url) == ["no such customer"]


@virtual_time
async def test_what_raises_is_rolled_back_also_when_it_is_acknowledged():
    for error in (ValueError("x"), RejectMessage()):
        sessions = Sessions()

        async def handler(payload, error=error):
            raise error

        await handled(handler, sessions)

        assert sessions.heard == ["begin", f"rollback after {type(error).__name__}"]


@virtual_time
async def test_what_is_timed_out_is_rolled_back():
    sessions = Sessions()

    async def handler(payload):
        await asyncio.sleep(60)

    await handled(handler, sessions, timeout=1)

    assert sessions.heard == ["begin", "rollback after CancelledError"]


@virtual_time
async def test_a_commit_that_fails_is_a_failure_of_the_message():
    @asynccontextmanager
    async def open_session():
        yield
        raise ConnectionError("the database is gone")

    async def handler(payload): ...

    url = fresh_url()
    await publish(url, payload(1))
    worker = await run(Route(url, handler, middleware=[Scope(open_session)], policy=ONCE))

    assert worker.ledger.buried == 1


@virtual_time
async def test_each_message_has_its_own():
    url, scope, seen = fresh_url(), Scope(lambda: Sessions().open()), []
    await publish(url, *(payload(n) for n in range(3)))

    async def handler(payload):
        await asyncio.sleep(1)
        seen.append(scope.current())

    await run(Route(url, handler, middleware=[scope], concurrency=3))

    assert len(set(map(id, seen))) == 3
    assert all(each.heard == ["begin", "commit"] for each in seen)


@virtual_time
async def test_a_blocking_one_is_opened_in_a_thread_and_reaches_plain_functions():
    sessions = Sessions()
    scope, seen = Scope(sessions.open_blocking), []

    def handler(payload):
        seen.append(scope.current())
        if payload == 2:
            raise ValueError

    url = fresh_url()
    await publish(url, payload(1), payload(2))
    await run(Route(url, handler, middleware=[scope], concurrency=1, policy=ONCE))

    assert seen == [sessions, sessions]
    assert sessions.heard == ["begin", "commit", "begin", "rollback"]


def test_one_that_was_being_opened_when_its_message_was_cancelled_is_closed():
    heard, opening, go_on = [], threading.Event(), threading.Event()

    class Slow:
        def __enter__(self):
            opening.set()
            go_on.wait(30)
            heard.append("open")

        def __exit__(self, *_):
            heard.append("closed")

    async def main():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(Scope(Slow)(None, None, None))
            await asyncio.to_thread(opening.wait, 30)
            task.cancel()
            asyncio.get_running_loop().call_later(0.01, go_on.set)

    asyncio.run(main())

    assert heard == ["open", "closed"]


def test_one_that_is_still_being_opened_when_nobody_waits_any_more_is_closed_too():
    heard, opening, go_on, closed = [], threading.Event(), threading.Event(), threading.Event()

    class Slow:
        def __enter__(self):
            opening.set()
            go_on.wait(30)
            heard.append("open")

        def __exit__(self, kind, *_):
            heard.append(f"closed after {kind.__name__}")
            closed.set()

    async def main():
        task = asyncio.create_task(Scope(Slow)(None, None, None))
        await asyncio.to_thread(opening.wait, 30)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.wait([task], timeout=30)
        go_on.set()
        await asyncio.to_thread(closed.wait, 30)

    asyncio.run(main())

    assert heard == ["open", "closed after CancelledError"]


@asynccontextmanager
async def silent_session():
    """As many are written: it rolls back, and says nothing to anybody."""
    with suppress(Exception):
        yield


@virtual_time
@pytest.mark.parametrize("result", [False, Retry(), Bury("no such customer")], ids=["False", "Retry", "Bury"])
async def test_a_context_that_swallows_exceptions_does_not_turn_what_is_not_done_into_done(result):
    url = fresh_url()
    await publish(url, payload(1))

    async def handler(payload):
        return result

    worker = await run(Route(url, handler, middleware=[Scope(silent_session)], policy=ONCE))

    assert (worker.ledger.acked, worker.ledger.buried) == (0, 1)


@virtual_time
async def test_what_a_handler_raises_is_not_lost_in_a_context_that_swallows_it():
    url = fresh_url()
    await publish(url, payload(1))

    async def handler(payload):
        raise ValueError("no such customer")

    worker = await run(Route(url, handler, middleware=[Scope(silent_session)], policy=ONCE))

    assert (worker.ledger.acked, worker.ledger.buried) == (0, 1)


@virtual_time
async def test_what_makes_it_may_be_awaited():
    sessions, url = Sessions(), fresh_url()

    async def open_later():
        return sessions.open()

    async def handler(payload): ...

    await publish(url, payload(1))
    await run(Route(url, handler, middleware=[Scope(open_later)]))

    assert sessions.heard == ["begin", "commit"]


def test_outside_of_a_message_nothing_is_open():
    with pytest.raises(PulpoError, match=r"nothing is open of the scope Sessions\.open: is it among the route's middl"):
        Scope(Sessions().open).current()


@virtual_time
async def test_with_falsy_retries_any_falsy_result_rolls_back():
    sessions = Sessions()
    url, handlers = fresh_url(), Handlers()
    await publish(url, payload(1))

    @handlers("job")
    async def handler(payload): ...

    scope = Scope(sessions.open, falsy_retries=True)
    await run(Route(url, handlers, middleware=[scope], falsy_retries=True, policy=ONCE, timeout=timedelta(seconds=5)))

    assert sessions.heard == ["begin", "rollback after NotDone"]
