"""Ten to a request: who shares one, who waits for whom, and who is told what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from botocore.exceptions import ClientError

from pulpo_adapter_sqs.background import Background, background
from pulpo_adapter_sqs.batching import AT_ONCE, Answer, Coalescer, chunks
from pulpo_core import AdapterError, QueueNotFound, Unavailable


@pytest.fixture
async def tasks() -> AsyncIterator[Background]:
    async with background() as running:
        yield running


class Sends:
    """Answers each entry with itself, and remembers the batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = asyncio.Event()
        self.go.set()
        self.error: Exception | None = None
        self.silence: Unavailable | None = None

    async def __call__(self, entries: Sequence[int]) -> list[Answer]:
        self.batches.append(list(entries))
        await self.go.wait()
        if self.error:
            raise self.error
        if self.silence:
            return [self.silence] * len(entries)
        return [{"Id": str(entry)} for entry in entries]


async def test_tasks_that_send_at_the_same_time_share_requests(tasks: Background) -> None:
    sends = Sends()
    coalescer = Coalescer[int](tasks, sends)

    async with asyncio.TaskGroup() as group:
        sent = [group.create_task(coalescer.submit([number])) for number in range(64)]

    assert [task.result() for task in sent] == [[{"Id": str(number)}] for number in range(64)]
    assert [len(batch) for batch in sends.batches] == [10, 10, 10, 10, 10, 10, 4]


async def test_a_lone_entry_goes_at_once_unless_it_may_linger(tasks: Background) -> None:
    sends = Sends()
    coalescer = Coalescer[int](tasks, sends, linger=30.0)
    waiting = asyncio.create_task(coalescer.submit([1]))

    await asyncio.sleep(0)
    assert sends.batches == []

    await coalescer.submit(list(range(2, 11)))  # nine more fill the batch, which goes without waiting
    assert sends.batches == [list(range(1, 11))]
    assert await waiting == [{"Id": "1"}]


async def test_what_lingers_goes_in_time(tasks: Background) -> None:
    assert await Coalescer[int](tasks, Sends(), linger=0.01).submit([1]) == [{"Id": "1"}]


async def test_the_eager_wait_for_nobody_while_nothing_is_under_way(tasks: Background) -> None:
    assert await Coalescer[int](tasks, Sends(), linger=30.0, eager=True).submit([1]) == [{"Id": "1"}]


async def test_the_eager_fill_each_others_batches_while_something_is(tasks: Background) -> None:
    sends = Sends()
    sends.go.clear()
    coalescer = Coalescer[int](tasks, sends, linger=30.0, eager=True)
    async with asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(coalescer.submit([number]))
            for _ in range(5):
                await asyncio.sleep(0)
        assert sends.batches == [[0]]
        sends.go.set()
    assert sends.batches == [[0], [1, 2, 3]]


async def test_a_slow_request_holds_up_no_other(tasks: Background) -> None:
    sends = Sends()
    sends.go.clear()
    coalescer = Coalescer[int](tasks, sends)
    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(coalescer.submit([number]))
            for _ in range(5):
                await asyncio.sleep(0)
        assert sends.batches == [[0], [1], [2]]
        sends.go.set()


async def test_in_order_one_request_follows_the_other(tasks: Background) -> None:
    sends = Sends()
    sends.go.clear()
    coalescer = Coalescer[int](tasks, sends, in_order=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(coalescer.submit(list(range(25))))
        for _ in range(10):
            await asyncio.sleep(0)
        assert sends.batches == [list(range(10))]
        sends.go.set()
    assert sends.batches == [list(range(10)), list(range(10, 20)), list(range(20, 25))]


async def test_of_many_requests_so_many_are_under_way_at_once_that_no_deadline_begins_before_its_turn(
    tasks: Background,
) -> None:
    sends = Sends()
    sends.go.clear()
    submitted = asyncio.create_task(Coalescer[int](tasks, sends).submit(list(range(1000))))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(sends.batches) == AT_ONCE

    sends.go.set()

    assert await submitted == [{"Id": str(number)} for number in range(1000)]
    assert sends.batches == [list(range(first, first + 10)) for first in range(0, 1000, 10)]


async def test_when_nothing_is_answered_what_waits_for_its_turn_is_not_sent(tasks: Background) -> None:
    sends = Sends()
    sends.silence = Unavailable("no answer", in_doubt=True)
    coalescer = Coalescer[int](tasks, sends)

    answers = await coalescer.submit(list(range(1000)))

    assert len(sends.batches) == AT_ONCE
    assert answers[: 10 * AT_ONCE] == [sends.silence] * (10 * AT_ONCE)
    for answer in answers[10 * AT_ONCE :]:
        assert isinstance(answer, Unavailable)
        assert not answer.in_doubt
    sends.silence = None
    assert await coalescer.submit([7]) == [{"Id": "7"}]


async def test_whoever_is_told_to_slow_down_is_answered(tasks: Background) -> None:
    sends = Sends()
    sends.silence = throttled()
    answers = await Coalescer[int](tasks, sends).submit(list(range(1000)))

    assert answers == [sends.silence] * 1000
    assert len(sends.batches) == 100


def throttled() -> Unavailable:
    """As it comes from an answer of AWS."""
    error = Unavailable("slow down")
    error.__cause__ = ClientError({"Error": {"Code": "ThrottlingException"}}, "SendMessageBatch")
    return error


async def test_a_request_outlives_the_caller_that_is_cancelled(tasks: Background) -> None:
    sends = Sends()
    sends.go.clear()
    coalescer = Coalescer[int](tasks, sends)
    async with asyncio.TaskGroup() as group:
        impatient = group.create_task(coalescer.submit([1]))
        patient = group.create_task(coalescer.submit([2]))
        for _ in range(5):
            await asyncio.sleep(0)
        impatient.cancel()
        sends.go.set()

    assert patient.result() == [{"Id": "2"}]


async def test_a_failed_request_is_an_answer_for_each_of_its_entries(tasks: Background) -> None:
    sends = Sends()
    sends.error = Unavailable("gone")

    answers = await Coalescer[int](tasks, sends).submit([1, 2])

    assert answers == [sends.error, sends.error]


async def test_a_wrong_deployment_is_raised(tasks: Background) -> None:
    sends = Sends()
    sends.error = QueueNotFound("gone")

    with pytest.raises(QueueNotFound):
        await Coalescer[int](tasks, sends).submit([1, 2])


async def test_whoever_waits_when_the_queue_is_closed_is_told() -> None:
    sends = Sends()
    sends.go.clear()
    async with background() as tasks:
        coalescer = Coalescer[int](tasks, sends)
        waiting = asyncio.create_task(coalescer.submit([1]))
        for _ in range(5):
            await asyncio.sleep(0)

    [answer] = await waiting
    assert isinstance(answer, AdapterError)
    assert answer.in_doubt
    with pytest.raises(AdapterError, match="closed"):
        await coalescer.submit([2])


async def test_what_lingers_when_the_queue_is_closed_is_told_that_it_was_not_sent() -> None:
    sends = Sends()
    sends.go.clear()
    async with background() as tasks:
        coalescer = Coalescer[int](tasks, sends, linger=0.01, eager=True)
        first = asyncio.create_task(coalescer.submit([1]))
        for _ in range(5):
            await asyncio.sleep(0)
        second = asyncio.create_task(coalescer.submit([2]))
        await asyncio.sleep(0)

    async with asyncio.timeout(10):
        [unknown], [unsent] = await first, await second
    assert isinstance(unknown, AdapterError)
    assert isinstance(unsent, AdapterError)
    assert (unknown.in_doubt, unsent.in_doubt) == (True, False)
    assert sends.batches == [[1]]


async def test_nobody_waits_for_ever_when_a_defect_ends_every_request() -> None:
    async def defect() -> None:
        raise KeyError("surprise")

    async def run() -> None:
        async with background() as tasks:
            coalescer = Coalescer[int](tasks, sends, in_order=True)
            waiting.extend(asyncio.create_task(coalescer.submit([number] * 10)) for number in range(3))
            await asyncio.sleep(0.01)
            tasks.start(defect())
            await asyncio.Event().wait()

    sends = Sends()
    sends.go.clear()
    waiting: list[asyncio.Task[list[Answer]]] = []
    with pytest.raises(ExceptionGroup):
        await run()

    async with asyncio.timeout(10):
        answers = [answer for task in waiting for answer in await task]
    assert len(answers) == 30
    assert all(isinstance(answer, AdapterError) for answer in answers)


@pytest.mark.parametrize(
    ("sizes", "cut"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([1] * 12, [10, 2], id="ten to a batch"),
        pytest.param([60, 60, 30, 60], [1, 2, 1], id="as much as fits"),
        pytest.param([500], [1], id="what fits nowhere goes alone"),
    ],
)
def test_batches_are_cut_by_number_and_by_size(sizes: list[int], cut: list[int]) -> None:
    assert [len(batch) for batch in chunks(sizes, size=lambda size: size, max_bytes=100)] == cut


async def test_who_is_cancelled_while_the_queue_is_closed_is_cancelled() -> None:
    async with background() as tasks:
        waiting = asyncio.create_task(tasks.run(asyncio.Event().wait()))
        await asyncio.sleep(0.01)
        tasks.close()
        waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_an_error_leaves_the_context_as_it_is() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with background():
            raise ValueError("mine")
