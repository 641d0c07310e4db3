"""The process around a dispatcher: event loop, signals, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import FrameType
from typing import Any, Final

import attrs

from pulpo_core.domain.errors import (
    ApplicationError,
    ConfigurationError,
    HandlerError,
    Unavailable,
    Unsupported,
)

from .clock import SystemClock
from .dispatcher import Dispatcher
from .executor import LoopThreads
from .ledger import Ledger, total
from .route import Route
from .signals import StopSignals
from .watchdog import Watchdog

log = logging.getLogger("pulpo.manager")

DRAINED: Final = 0
UNSETTLED: Final = 130

#: The status for an error: that of the first class it is an instance of.
STATUS_OF: Final[tuple[tuple[type[BaseException], int], ...]] = (
    (HandlerError, 4),
    (ApplicationError, 4),
    (ConfigurationError, 2),
    (Unavailable, 3),
    (Unsupported, 6),
    (BaseException, 1),
)

#: After so many signals the process ends as it stands.
_ENOUGH: Final = 3

#: Makes what is to be open while a dispatcher runs, in its event loop: a resource, a server beside it.
Around = Callable[[Dispatcher], AbstractAsyncContextManager[object]]


def status_of(error: BaseException) -> int:
    """The exit status for *error*, the same for every command."""
    return next(status for cls, status in STATUS_OF if isinstance(error, cls))


@attrs.frozen(kw_only=True)
class Report:
    """How a run ended.

    Attributes:
        status: 0 when every delivery was settled; 130 when some were left to their lease, because a
            second signal cut the grace or a handler was given up; otherwise that of `error`.
        ledgers: what happened to the deliveries, by route.
        error: what ended the run, if it did not end in order.
        unsettled: ids whose settlement was not confirmed.
        requests: what was asked of brokers that bill, by route and operation.
        abandoned: handlers that were given up.
    """

    status: int
    ledgers: Mapping[str, Ledger]
    error: BaseException | None = None
    unsettled: tuple[str, ...] = ()
    requests: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    abandoned: int = 0

    @property
    def ledger(self) -> Ledger:
        """All routes added up."""
        return total(self.ledgers.values())


class Manager:
    """Runs routes as a process: the first SIGTERM or SIGINT drains, a second cuts the grace, a third kills.

    Those that come within a tenth of a second count as one: some send a signal to a process and to its group.

    Args:
        routes: routes to run, or a `Dispatcher` made of them.
        loop_factory: makes the event loop, for example uvloop's.
        around: entered one after the other before the dispatcher runs, in its event loop, and left after it.
        options: for the `Dispatcher`.
    """

    def __init__(
        self,
        routes: Iterable[Route] | Route | Dispatcher,
        *,
        loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
        around: Sequence[Around] = (),
        **options: Any,
    ) -> None:
        self.dispatcher = routes if isinstance(routes, Dispatcher) else Dispatcher(routes, **options)
        self._loop_factory = loop_factory
        self._around = tuple(around)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signals = StopSignals(SystemClock())
        self._watchdog: Watchdog | None = None

    def run(self, *, around: Sequence[Around] = ()) -> Report:
        """Run to the end, with signals where this is the main thread; *around* as for `execute`.

        Raises:
            SystemExit: the status is not 0; what was wrong is logged in one line.
        """
        report = self.execute(around=around)
        if report.error is not None and not _is_plain_exit(report.error):
            log.error("%s", str(report.error) or type(report.error).__name__)
        if report.status != DRAINED:
            raise SystemExit(report.status)
        return report

    def execute(self, *, around: Sequence[Around] = (), supervised: bool = False) -> Report:
        """Run to the end and say how it went; raises nothing that `Report.error` can hold.

        The process ends with status 130 if it does not come to its end in time once it was told to
        stop (`Dispatcher.stops_within`): a handler may block the event loop, or refuse to be cancelled.

        Args:
            around: as for the manager itself, entered after its own.
            supervised: further signals change nothing: whoever started this process cuts the grace by
                `stop`, and kills. Without it, every signal to a whole group of processes would count twice.
        """
        with asyncio.Runner(loop_factory=self._loop_factory) as runner:
            runner.get_loop().set_default_executor(LoopThreads())
            if threading.current_thread() is not threading.main_thread():  # then the process is somebody else's
                return runner.run(self.serve(around=around))
            with Watchdog(lambda: self.dispatcher.stops_within, self._leave) as self._watchdog:
                return runner.run(self._serve_with_signals(around, supervised=supervised))

    async def serve(self, *, around: Sequence[Around] = ()) -> Report:
        """Run inside somebody else's event loop, which keeps its signals; *around* as for `execute`."""
        self._loop = asyncio.get_running_loop()
        error: BaseException | None = None
        try:
            async with contextlib.AsyncExitStack() as stack:
                for each in (*self._around, *around):
                    await stack.enter_async_context(each(self.dispatcher))
                await self.dispatcher.run()
        except asyncio.CancelledError:
            raise
        except BaseException as failure:  # noqa: BLE001 - the report says what it was
            error = _single(failure)
        finally:
            self._loop = None
        return self._report(error)

    def stop(self, *, now: bool = False) -> None:
        """Drain and end; *now* cuts the grace. May be called from any thread."""
        self._arm()
        loop = self._loop
        if loop is None:
            self.dispatcher.stop(now=now)
        else:
            with contextlib.suppress(RuntimeError):  # its loop was closed a moment ago: it has ended by itself
                loop.call_soon_threadsafe(lambda: self.dispatcher.stop(now=now))

    def _report(self, error: BaseException | None) -> Report:
        ledgers = dict(self.dispatcher.ledgers)
        left = total(ledgers.values()).in_hand or self.dispatcher.abandoned or self.dispatcher.unsettled
        status = _status_of_end(error) if error is not None else UNSETTLED if left else DRAINED
        return Report(
            status=status,
            ledgers=ledgers,
            error=error,
            unsettled=tuple(self.dispatcher.unsettled),
            requests=dict(self.dispatcher.requests),
            abandoned=self.dispatcher.abandoned,
        )

    async def _serve_with_signals(self, around: Sequence[Around], *, supervised: bool) -> Report:
        loop = asyncio.get_running_loop()

        def on_signal(_: int, __: FrameType | None) -> None:
            """Not by `add_signal_handler`: a loop that a handler blocks would never hear of it."""
            if not self._signals.note():
                return
            if self._signals.count >= _ENOUGH and not supervised:
                os._exit(UNSETTLED)
            self._arm()
            loop.call_soon_threadsafe(self._on_signal, 0 if supervised else self._signals.count)

        before = {each: signal.signal(each, on_signal) for each in StopSignals.NUMBERS}
        try:
            return await self.serve(around=around)
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _on_signal(self, count: int) -> None:
        if count == 1:
            log.info("stopping: what runs may finish; a second signal cuts that short")
        elif count > 1:
            log.warning("stopping now: what runs is cancelled and given back")
        self.dispatcher.stop(now=count > 1)

    def _arm(self) -> None:
        if self._watchdog is not None:
            self._watchdog.arm()

    def _leave(self) -> None:
        """The loop has had its time, and whatever holds it does not let go."""
        ledger = total(self.dispatcher.ledgers.values())
        log.critical(
            "a handler does not end: leaving without it; %d in hand come back after their lease", ledger.in_hand
        )
        logging.shutdown()
        os._exit(UNSETTLED)


def _single(error: BaseException) -> BaseException:
    """*error* without the groups that hold nothing else: what is open around a run often has tasks of its own."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _is_plain_exit(error: BaseException) -> bool:
    """Whether it is an exit with a number, about which there is nothing to be said."""
    return isinstance(error, SystemExit) and not isinstance(error.code, str)


def _status_of_end(error: BaseException) -> int:
    """A handler may end the process with a status of its own."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return status_of(error)
