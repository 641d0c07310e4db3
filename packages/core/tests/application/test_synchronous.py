"""Publishing from code that does not await: the same publisher, and the thread that calls is the one that waits."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from pulpo_core import (
    AdapterError,
    ConfigurationError,
    InvalidMessage,
    Message,
    PulpoError,
    Unavailable,
    open_publisher_sync,
    open_queue,
)
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.events import Published, PublishFailed

from .fakes import FaultyAdapter, Watch, fresh_url


def ready(url: str) -> int | None:
    async def look():
        async with open_queue(url) as queue:
            return (await queue.stats()).ready

    return asyncio.run(look())


def test_synchronous_code_publishes_as_well():
    url = fresh_url()
    with open_publisher_sync(url) as publisher:
        sent = publisher.publish(Message(request_type="job"), retry_for=1)
        answers = publisher.publish_many((Message(), Message(body={"bad": object()})), retry_for=1)

    assert sent.id
    assert sent.header["published_at"] <= datetime.now(UTC).isoformat()
    assert [type(answer) for answer in answers] == [Message, InvalidMessage]
    assert ready(url) == 2


def test_synchronous_code_has_errors_raised():
    with open_publisher_sync(fresh_url()) as publisher, pytest.raises(InvalidMessage, match="bad"):
        publisher.publish(Message(body={"bad": object()}))


def test_any_number_of_threads_may_publish_at_once():
    url, ids = fresh_url(), []
    with open_publisher_sync(url) as publisher:

        def work():
            for _ in range(20):
                ids.append(publisher.publish(Message()).id)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(set(ids)) == 160
    assert ready(url) == 160


def test_it_works_inside_somebody_else_s_event_loop_too():
    async def main():
        with open_publisher_sync(fresh_url()) as publisher:
            return publisher.publish(Message())

    assert asyncio.run(main()).id


@pytest.mark.parametrize("url", ["memory://x?colour=red", "nonsense://x", "nonsense"])
def test_a_wrong_url_is_told_and_leaves_no_thread(url):
    with pytest.raises(ConfigurationError), open_publisher_sync(url):
        raise AssertionError

    assert not [thread for thread in threading.enumerate() if thread.name == "pulpo-publisher" and thread.is_alive()]


def test_leaving_the_context_closes_the_queue_and_ends_the_thread():
    adapter = FaultyAdapter()
    with open_publisher_sync(fresh_url(), adapter=adapter):
        assert (adapter.opened, adapter.closed) == (1, 0)

    assert adapter.closed == 1
    assert "pulpo-publisher" not in {thread.name for thread in threading.enumerate()}


def test_leaving_it_by_an_error_closes_it_too():
    adapter = FaultyAdapter()
    with pytest.raises(KeyError), open_publisher_sync(fresh_url(), adapter=adapter):
        raise KeyError

    assert adapter.closed == 1


def test_a_queue_is_closed_in_the_task_that_opened_it():
    """Groups of tasks and timeouts of adapters must not be entered in one task and left in another."""
    tasks = []

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            tasks.append(asyncio.current_task())
            async with asyncio.TaskGroup() as group, MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                helper = group.create_task(asyncio.sleep(1_000))
                yield queue
                helper.cancel()
            tasks.append(asyncio.current_task())

    with open_publisher_sync(fresh_url(), adapter=Adapter()) as publisher:
        publisher.publish(Message())

    assert tasks[0] is tasks[1]


def test_an_error_of_closing_is_raised():
    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                yield queue
            raise Unavailable("while closing")

    with pytest.raises(Unavailable, match="while closing"), open_publisher_sync(fresh_url(), adapter=Adapter()):
        pass


def test_publishing_after_the_end_is_an_error_and_no_wait_without_end():
    with open_publisher_sync(fresh_url()) as publisher:
        pass

    with pytest.raises(AdapterError, match="closed"):
        publisher.publish(Message())


def test_a_publish_on_its_way_when_the_publisher_is_closed_is_in_doubt():
    started, errors = threading.Event(), []

    async def hang(method, batch):
        started.set()
        await asyncio.sleep(1_000)

    def work(publisher):
        try:
            publisher.publish(Message())
        except PulpoError as error:
            errors.append(error)

    with open_publisher_sync(fresh_url(), adapter=FaultyAdapter(publish=hang)) as publisher:
        thread = threading.Thread(target=work, args=[publisher])
        thread.start()
        assert started.wait(10)
    thread.join(10)

    assert not thread.is_alive()
    assert [error.in_doubt for error in errors] == [True]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # which is why it must be harmless
def test_a_child_that_was_forked_inside_of_its_context_can_leave_it():
    """Else it would wait for ever for the thread of its parent."""
    context = open_publisher_sync(fresh_url())
    with context as publisher:
        child = os.fork()
        if child == 0:
            leave_at_once(context)
        assert ending_of(child) == 7
        assert publisher.publish(Message()).id, "the parent goes on"


def leave_at_once(context):
    try:
        context.__exit__(None, None, None)
        os._exit(7)
    finally:
        os._exit(1)


def ending_of(child):
    """The status of *child*, which is given a while."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_publisher_that_was_opened_before_a_fork_is_refused_in_the_child(monkeypatch):
    """Its thread does not exist there: every publish would wait for ever."""
    with open_publisher_sync(fresh_url()) as publisher:
        monkeypatch.setattr("os.getpid", lambda: -1)
        with pytest.raises(AdapterError, match="fork"):
            publisher.publish(Message())
        monkeypatch.undo()


# In the calling thread


class Here(MemoryAdapter):
    """An adapter whose queue publishes in the calling thread as long as it has *answers*; `None` is "not at once"."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.threads = []
        self.batches = []

    def _publish_blocking(self, batch):
        self.threads.append(threading.current_thread())
        self.batches.append([envelope.body for envelope in batch])
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    @asynccontextmanager
    async def open(self, url, *, clock, jitter):
        async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
            queue.publish_blocking = self._publish_blocking
            yield queue


def test_a_queue_that_can_publishes_in_the_calling_thread():
    url, adapter = fresh_url(), Here(["here-1"])
    with open_publisher_sync(url, adapter=adapter) as publisher:
        sent = publisher.publish(Message())

    assert sent.id == "here-1"
    assert adapter.threads == [threading.current_thread()]
    assert ready(url) == 0, "it was not published once more"


def test_what_cannot_be_done_there_at_once_is_done_in_the_loop():
    url, adapter = fresh_url(), Here(None)
    with open_publisher_sync(url, adapter=adapter) as publisher:
        sent = publisher.publish(Message())

    assert sent.id
    assert ready(url) == 1


def test_an_answer_in_doubt_is_not_asked_for_again():
    url, adapter = fresh_url(), Here(Unavailable("the flush failed", in_doubt=True))
    with open_publisher_sync(url, adapter=adapter) as publisher, pytest.raises(Unavailable, match="flush"):
        publisher.publish(Message(), retry_for=5)

    assert len(adapter.batches) == 1
    assert ready(url) == 0


def test_only_what_failed_for_now_is_tried_again():
    adapter = Here(["1", Unavailable("busy"), "3"], ["2"])
    with open_publisher_sync(fresh_url(), adapter=adapter) as publisher:
        answers = publisher.publish_many([Message(body={"number": number}) for number in range(3)], retry_for=5)

    assert [answer.id for answer in answers] == ["1", "2", "3"]
    assert [len(batch) for batch in adapter.batches] == [3, 1]


def test_a_pause_before_another_try_ends_with_the_publisher():
    errors = []

    def work(publisher):
        try:
            publisher.publish(Message(), retry_for=3600)
        except PulpoError as error:
            errors.append(error)

    with open_publisher_sync(fresh_url(), adapter=Here(*[[Unavailable("busy")]] * 20)) as publisher:
        thread = threading.Thread(target=work, args=[publisher])
        thread.start()
        time.sleep(0.3)  # into one of the pauses
    thread.join(10)

    assert not thread.is_alive()
    assert len(errors) == 1


def test_middleware_is_called_in_the_thread_that_publishes():
    """Where what belongs to a request is found, in variables of its thread."""
    threads = []

    def note(message):
        threads.append(threading.current_thread())
        return message

    with open_publisher_sync(fresh_url(), middleware=[note]) as publisher:
        publisher.publish(Message())

    assert threads == [threading.current_thread()]


def test_observers_are_told_of_one_event_at_a_time():
    inside, most = [0], [0]

    def slow(event):
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        inside[0] -= 1

    with open_publisher_sync(fresh_url(), observers=[slow]) as publisher:
        threads = [threading.Thread(target=publisher.publish, args=[Message()]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert most == [1]


def test_an_observer_may_publish():
    url, told = fresh_url(), []

    def echo(event):
        told.append(event)
        if len(told) == 1:
            publisher.publish(Message(request_type="echo"))

    with open_publisher_sync(url, observers=[echo]) as publisher:
        publisher.publish(Message(request_type="call"))

    assert [event.message.request_type for event in told] == ["call", "echo"]
    assert ready(url) == 2


def test_what_is_torn_away_by_a_signal_is_told_as_in_doubt():
    watch = Watch()
    adapter = Here(KeyboardInterrupt())
    with (
        open_publisher_sync(fresh_url(), adapter=adapter, observers=[watch]) as publisher,
        pytest.raises(KeyboardInterrupt),
    ):
        publisher.publish(Message())

    [event] = watch.of(PublishFailed)
    assert event.error.in_doubt
    assert not watch.of(Published)


def test_a_signal_handler_may_publish_whatever_it_interrupts():
    """Here it strikes while something is being handed to the loop."""
    ids, publishers = [], []

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                publish = queue.publish

                def interrupted(batch):
                    if publishers:
                        ids.append(publishers.pop().publish(Message()).id)
                    return publish(batch)

                queue.publish = interrupted
                yield queue

    def work(publisher):
        ids.append(publisher.publish(Message()).id)

    with open_publisher_sync(fresh_url(), adapter=Adapter()) as publisher:
        publishers.append(publisher)
        thread = threading.Thread(target=work, args=[publisher], daemon=True)
        thread.start()
        thread.join(20)
        assert len(set(ids)) == 2


def test_nobody_publishes_in_the_thread_that_would_have_to_answer():
    """Such as a handler of logs that publishes them, and is told of something by the loop itself."""
    errors, publishers = [], []

    async def publish_too(method, batch):
        with pytest.raises(AdapterError) as refusal:
            publishers[0].publish(Message())
        errors.append(str(refusal.value))
        return await method(batch)

    def work(publisher):
        publishers.append(publisher)
        publisher.publish(Message())

    with open_publisher_sync(fresh_url(), adapter=FaultyAdapter(publish=publish_too)) as publisher:
        thread = threading.Thread(target=work, args=[publisher], daemon=True)
        thread.start()
        thread.join(20)
        assert len(errors) == 1
        assert "would wait for itself" in errors[0]


def test_who_is_torn_away_while_it_opens_leaves_nothing_open():
    closed, go_on = [], threading.Event()

    class Adapter(MemoryAdapter):
        @asynccontextmanager
        async def open(self, url, *, clock, jitter):
            async with MemoryAdapter.open(self, url, clock=clock, jitter=jitter) as queue:
                os.kill(os.getpid(), signal.SIGALRM)
                await asyncio.to_thread(go_on.wait, 20)
                try:
                    yield queue
                finally:
                    closed.append(url)

    def torn_away(*_):
        raise KeyError

    before = signal.signal(signal.SIGALRM, torn_away)
    try:
        with pytest.raises(KeyError), open_publisher_sync(fresh_url(), adapter=Adapter()):
            raise AssertionError
    finally:
        signal.signal(signal.SIGALRM, before)
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "pulpo-publisher":
            thread.join(10)

    assert closed


LEFT_OPEN = """
import sys
from pulpo_core import AdapterError, Message, open_publisher_sync

context = open_publisher_sync("memory://left-open")
publisher = context.__enter__()

class Last:
    def __del__(self):
        try:
            publisher.publish(Message())
        except AdapterError as error:
            print(error)

sys.modules["last"] = Last()
"""


def test_an_interpreter_that_ends_waits_for_none_of_its_threads():
    """They do nothing any more, and whoever keeps a publisher as long as the application runs may never close it."""
    ended = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, timeout=30, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "the interpreter is ending" in ended.stdout
