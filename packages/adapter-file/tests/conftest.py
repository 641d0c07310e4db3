"""A folder, a clock to command, and queues opened in it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_core import Clock, Queue
from pulpo_core.testing import ManualClock, SeededJitter

Opener = Callable[..., Awaitable[Queue]]


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still until it is moved."""
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the queue file of the test is, or will be."""
    return tmp_path / "shop.db"


@pytest.fixture
async def opened(path: Path, clock: ManualClock) -> AsyncIterator[Opener]:
    """Opens queues of the test's file; closed when it ends."""
    async with AsyncExitStack() as stack:

        async def open_one(parameters: str = "queue=orders", *, clock: Clock = clock) -> Queue:
            adapter = FileAdapter()
            context = adapter.open(f"file://{path}?{parameters}", clock=clock, jitter=SeededJitter(1))
            return await stack.enter_async_context(context)

        yield open_one
