"""Processes for handlers that keep a processor busy.

A handler that computes holds Python's lock: in a thread it would slow down every other one. So it
runs in a process of its own, which was started afresh (never forked from one with threads and an
event loop), takes one message at a time, and is killed when it takes too long. Both sides are ours
and started by us: what goes between them is pickled, and nothing of a message is ever unpickled.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from operator import attrgetter
from typing import Any, Final

import attrs

from pulpo_core.domain.envelope import Delivery
from pulpo_core.domain.errors import HandlerCrashed, HandlerError, TranslationError
from pulpo_core.domain.message import Message
from pulpo_core.domain.wording import error_text

from .binding import BoundHandler, bind
from .luggage import Luggage, packed
from .places import Places
from .signals import StopSignals
from .threads import Threads

#: What a terminal or a supervisor sends to a whole group: it is meant for the worker, which lets what runs finish.

#: Seconds for a process to be gone once it was killed.
_REAP: Final = 5.0


@attrs.frozen
class _Returned:
    value: Any


@attrs.frozen
class _Raised:
    error: Exception
    where: str


@attrs.frozen
class _Unfit:
    error: TranslationError


_Answer = _Returned | _Raised | _Unfit


class RemoteTraceback(Exception):
    """Where a handler failed in its process: the cause of the error that came over from there."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def usable_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Processes:
    """A pool of up to *size* processes, started as they are needed.

    To be used in one event loop. A call that is cancelled kills the process that works on it; the
    next call gets a new one.

    Attributes:
        places: who makes a call has one.
    """

    def __init__(self, size: int) -> None:
        self.places = Places(size)
        self._threads = Threads(size)
        self._workers: set[_Worker] = set()
        self._idle: list[_Worker] = []

    async def call(self, handler: BoundHandler, message: Message, delivery: Delivery) -> Any:
        """What *handler* returns for *message*.

        Raises:
            TranslationError: the body does not fit the handler's parameters.
            HandlerCrashed: the process ended before the handler did.
            Exception: whatever the handler raised.
        """
        request = functools.partial(_request, handler.name, message, delivery, packed())
        worker = self._take()
        try:
            answer = await self._threads.submit(lambda: worker.ask(request()), contextvars.Context()).future
        except BaseException:  # cancelled, or it crashed: either way it is of no more use
            worker.kill()
            self._workers.discard(worker)
            raise
        self._idle.append(worker)
        return _result(answer)

    def close(self) -> None:
        """Kill every process, whatever it does, and see it gone."""
        for worker in self._workers:
            worker.kill()
        for worker in self._workers:
            worker.reap()
        self._threads.close()

    def _take(self) -> _Worker:
        if self._idle:
            return self._idle.pop()
        worker = _Worker()
        self._workers.add(worker)
        return worker


def _result(answer: _Answer) -> Any:
    match answer:
        case _Returned(value=value):
            return value
        case _Raised(error=error, where=where):
            raise error from RemoteTraceback(where)
        case _Unfit(error=error):
            raise error


class _Worker:
    """One process. Asked by one thread at a time; killed from anywhere."""

    def __init__(self) -> None:
        self._process: Any = None
        self._connection: Connection | None = None
        self._killed = False

    def ask(self, request: bytes) -> _Answer:
        """Let the process answer *request*; blocks until it has, or has ended."""
        try:
            connection = self._connection or self._start()
            connection.send_bytes(request)
            answer: _Answer = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise HandlerCrashed(self._how_it_ended()) from error
        return answer

    def kill(self) -> None:
        """End it now. Idempotent; never blocks."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    def reap(self) -> None:
        """Wait until it is gone."""
        if self._process is not None:
            self._process.join(_REAP)

    def _start(self) -> Connection:
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(theirs,), name="pulpo-handler", daemon=True
        )
        with _signals_held_back():
            process.start()
        theirs.close()
        self._process, self._connection = process, ours
        if self._killed:  # while it was being started
            process.kill()
        return ours

    def _how_it_ended(self) -> str:
        self.reap()
        code = self._process.exitcode if self._process is not None else None
        if code is None:
            return "the handler's process does not answer any more"
        if code < 0:
            return f"the handler's process was killed by {signal.Signals(-code).name}"
        return f"the handler's process ended with status {code} before the handler did"


_starting = threading.Lock()


@contextlib.contextmanager
def _signals_held_back() -> Any:
    """A process that is being started inherits that signals wait, until it can say what becomes of them."""
    with _starting:
        resource_tracker.ensure_running()  # it would let signals through again
        before = signal.pthread_sigmask(signal.SIG_BLOCK, StopSignals.NUMBERS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _request(name: str, message: Message, delivery: Delivery, luggage: Luggage) -> bytes:
    """What a process needs to call a handler. A receipt is nobody's business but the adapter's, and stays here."""
    return pickle.dumps((name, message, attrs.evolve(delivery, receipt=None), luggage))


# --------------------------------------------------------------------------------------------------- in the process


def serve(connection: Connection) -> None:
    """Answer requests until whoever sends them is gone."""
    for each in StopSignals.NUMBERS:
        signal.signal(each, lambda *_: None)  # what a handler starts gets the default back; ignoring would be inherited
    signal.pthread_sigmask(signal.SIG_UNBLOCK, StopSignals.NUMBERS)
    threading.Thread(target=_end_with_worker, name="pulpo-worker-watch", daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes()))


def _end_with_worker() -> None:
    """Leave a handler that still computes when its worker is gone: somebody else gets its message after the lease."""
    worker = multiprocessing.parent_process()
    if worker is not None:
        worker.join()
        os._exit(1)


def _answer(request: bytes) -> bytes:
    try:
        name, message, delivery, luggage = pickle.loads(request)
        call = _bound(name).prepare(message, delivery)
    except TranslationError as error:
        return pickle.dumps(_Unfit(error))
    except Exception as error:  # noqa: BLE001 - importing the handler's module may raise anything
        return pickle.dumps(_raised(error))
    try:
        return _portable(_returned(_called(call, luggage)))
    except Exception as error:  # noqa: BLE001 - the boundary around handlers
        return pickle.dumps(_raised(error))


def _called(call: Callable[[], Any], luggage: Luggage) -> Any:
    with contextlib.ExitStack() as stack:
        for context in luggage:
            stack.enter_context(context)
        return call()
    raise AssertionError("what goes along with a message keeps no exception to itself")


@functools.cache
def _bound(name: str) -> BoundHandler:
    return bind(find(name))


def _returned(value: Any) -> _Returned:
    if inspect.isawaitable(value):
        raise HandlerError("a handler in a process returned something to be awaited: let it run in the loop instead")
    return _Returned(value)


def _portable(answer: _Returned) -> bytes:
    try:
        brought = pickle.dumps(answer)
        pickle.loads(brought)
    except Exception as error:
        kind = type(answer.value).__qualname__
        raise HandlerError(f"the result, a {kind}, cannot be brought out of the handler's process: {error}") from error
    return brought


def _raised(error: Exception) -> _Raised:
    where = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # those with arguments of their own often fail
    except Exception:  # noqa: BLE001 - whatever somebody's class does about being copied
        error = HandlerError(error_text(error))
    return _Raised(error, where)


# ------------------------------------------------------------------------------------------------- which handlers can


def find(name: str) -> Any:
    """The function called ``module:qualified name``."""
    module, _, path = name.partition(":")
    return attrgetter(path)(import_module(module))


def check_can_be_found(handler: BoundHandler) -> None:
    """Refuse a handler that another process would not find under its name.

    Raises:
        HandlerError: its name stands for something else, or is that of a program that was typed in.
    """
    module = handler.name.partition(":")[0]
    if module == "__main__" and not hasattr(sys.modules[module], "__file__"):
        raise HandlerError(f"{handler.name} runs in a process, which needs a file to import it from")
    try:
        found = find(handler.name)
    except (ImportError, AttributeError) as error:
        raise HandlerError(f"{handler.name} runs in a process, and cannot be found there: {error}") from error
    if found is not handler.target:
        raise HandlerError(
            f"{handler.name} runs in a process, where that name stands for something else:"
            " let the decorator of its handlers be the outermost"
        )
