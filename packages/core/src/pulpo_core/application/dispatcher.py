"""Runs routes: opens their queues, pumps each, and stops them all in two phases."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from pulpo_core.domain.errors import ApplicationError, ConfigurationError, NoRoute, PulpoError
from pulpo_core.domain.fields import is_whole, seconds
from pulpo_core.ports.adapter import Queue, QueueStats
from pulpo_core.ports.clock import Clock, Jitter
from pulpo_core.ports.observer import Event, Observer, RouteStarted, RouteStopped

from .assembly import FLUSH_FOR, Assembly
from .binding import RunsIn, finish
from .clock import SystemClock, SystemJitter
from .gate import Gate
from .handlers import as_table
from .ledger import Ledger
from .logs import LogObserver
from .observing import tell
from .others import Others
from .phase import Phase, Progress, progress_of
from .pump import Pump
from .registry import open_queue
from .route import Route, check_routes, display_name
from .threads import Threads
from .until import Quota, Until

if TYPE_CHECKING:
    from .processes import Processes

log = logging.getLogger("pulpo.dispatcher")

#: Each handler's own ``stop`` may take so long, in seconds.
STOP_FOR: Final = 5.0

#: A handler that ignores its cancellation is cancelled again so often, in seconds, …
CANCEL_AGAIN: Final = 1.0

#: … and so many times; then it is given up.
CANCELLATIONS: Final = 10

#: Beyond all other limits, what stopping may take.
MARGIN: Final = timedelta(seconds=5)


class Dispatcher:
    """Receives from every route and hands each message to its handler, until stopped.

    Making one does no I/O and touches no signals. It runs once, in any thread, in any event loop.

    Args:
        routes: what to run.
        concurrency: handlers that run at once over all routes; each route's own limit holds besides.
        threads: threads for handlers that are plain functions; as many as there are slots unless given.
        process_pool: processes for handlers that run in one; as many as this process may use processors unless given.
        grace: how long handlers may go on after `stop`.
        thread_grace: how long a handler in a thread may go on after its timeout before it is given up.
        until: when to stop by itself; never unless given.
        observers: told what happens.
        clock, jitter: time and chance; the system's unless given.

    Raises:
        ConfigurationError: two routes have one name, or a limit is out of range.
        ApplicationError: there is no route, or one without any handler.
    """

    def __init__(
        self,
        routes: Iterable[Route] | Route,
        *,
        concurrency: int | None = None,
        threads: int | None = None,
        process_pool: int | None = None,
        grace: timedelta | float = 25,
        thread_grace: timedelta | float = 30,
        until: Until | None = None,
        observers: Sequence[Observer] = (),
        clock: Clock | None = None,
        jitter: Jitter | None = None,
    ) -> None:
        self._routes = check_routes([routes] if isinstance(routes, Route) else list(routes))
        self._concurrency = _limit(concurrency, "concurrency")
        self._threads_wanted = _limit(threads, "threads")
        self._processes_wanted = _limit(process_pool, "process_pool")
        self._grace = seconds(grace, field="grace")
        self._thread_grace = seconds(thread_grace, field="thread_grace")
        self._until = until or Until()
        self._clock: Clock = clock or SystemClock()
        self._jitter: Jitter = jitter or SystemJitter()
        self._observers = [*observers]
        self._pumps: dict[str, Pump] = {}
        self._threads: Threads | None = None
        self._processes: Processes | None = None
        self._stop_requested: asyncio.Event | None = None
        self._cut_requested: asyncio.Event | None = None
        self._stopped_early = False
        self._failure: BaseException | None = None
        self._others: Others | None = None
        self._queues: dict[str, Queue] = {}
        self._ended = False
        self._all_open = asyncio.Event()

    @property
    def routes(self) -> Sequence[Route]:
        """What it runs."""
        return self._routes

    @property
    def grace(self) -> timedelta:
        """How long handlers may go on after `stop`."""
        return self._grace

    @property
    def ledgers(self) -> Mapping[str, Ledger]:
        """For each route by name, what has happened to its deliveries so far."""
        return {name: pump.snapshot() for name, pump in self._pumps.items()}

    @property
    def requests(self) -> Mapping[str, Mapping[str, int]]:
        """For each route whose queue counts them, the requests sent to it so far, by operation."""
        return {name: pump.requests for name, pump in self._pumps.items() if pump.requests}

    @property
    def unsettled(self) -> Sequence[str]:
        """Ids of deliveries whose settlement was not confirmed by the end of the run."""
        return [id_ for pump in self._pumps.values() for id_ in pump.unsettled]

    @property
    def phase(self) -> Phase:
        """How far its run has come."""
        if self._ended:
            return Phase.ENDED
        if self._stopped_early:
            return Phase.DRAINING
        return Phase.RECEIVING if self._all_open.is_set() else Phase.STARTING

    @property
    def progress(self) -> Mapping[str, Progress]:
        """For each route by name, how long ago it last got anywhere."""
        now = self._clock.monotonic()
        return {name: progress_of(pump, now) for name, pump in self._pumps.items()}

    async def stats(self) -> Mapping[str, QueueStats | PulpoError]:
        """For each open route by name, what lies in its queue, or why that is not to be had now.

        Asks each queue over the connections of its route, one after another, in the event loop that runs it.
        """
        return {name: await _stats_of(queue) for name, queue in self._queues.items()}

    def observe(self, observer: Observer) -> None:
        """Tell *observer* too what happens; to be called before `run`."""
        self._observers.append(observer)

    @property
    def abandoned(self) -> int:
        """Handlers that were given up: in threads, and those in the loop that refused to be cancelled."""
        in_threads = self._threads.abandoned if self._threads else 0
        return in_threads + sum(pump.abandoned for pump in self._pumps.values())

    @property
    def stops_within(self) -> timedelta:
        """How long a stop takes at most, unless a handler blocks the event loop or awaits what ignores cancellation."""
        cancelling = timedelta(seconds=CANCEL_AGAIN * CANCELLATIONS + STOP_FOR * len(self._stops()))
        return self._grace + cancelling + FLUSH_FOR + MARGIN

    def stop(self, *, now: bool = False) -> None:
        """Stop receiving, let handlers finish within the grace, settle, and end; *now* cuts the grace.

        To be called in the event loop that runs it. May be called before, then it ends at once.
        """
        self._stopped_early = True
        if self._stop_requested is not None:
            self._stop_requested.set()
        if now and self._cut_requested is not None:
            self._cut_requested.set()

    async def until_open(self) -> None:
        """Wait until every queue is open. Who waits here goes on before anything is received."""
        await self._all_open.wait()

    @property
    def paused(self) -> Set[str]:
        """Names of the routes that were paused and not resumed."""
        return {name for name, pump in self._pumps.items() if pump.flow.paused}

    def pause(self, route: str) -> None:
        """Let *route* receive no more until `resume`; what runs goes on, what waits for a slot is given back.

        Idempotent; to be called in the event loop that runs it, while it runs.

        Raises:
            NoRoute: it runs none of that name.
        """
        self._pump_of(route).pause()

    def resume(self, route: str) -> None:
        """Let *route* receive again. Idempotent; where to call it and what it raises: see `pause`."""
        self._pump_of(route).resume()

    def _pump_of(self, route: str) -> Pump:
        pump = self._pumps.get(route)
        if pump is None:
            raise NoRoute(f"no route is called {route!r}; there are: {', '.join(self._pumps) or 'none yet'}")
        return pump

    async def run(self) -> None:
        """Run every route to its end.

        Cancelling it stops at once: what is in hand is left to its lease.

        Raises:
            ConfigurationError, AdapterError: a queue cannot be opened, or is gone for good. The
                other routes are stopped in order, and everything in hand is settled first.
        """
        if self._stop_requested is not None:
            raise PulpoError("a dispatcher runs once; make another one of its routes")
        if _is_imported_again():
            raise ApplicationError("a process for handlers imports this file, too: run under if __name__ == '__main__'")
        self._stop_requested, self._cut_requested = asyncio.Event(), asyncio.Event()
        async with AsyncExitStack() as stack:
            stack.callback(self._end)
            wanted = self._threads_wanted or self._slots()
            threads = self._threads = Threads(wanted, on_exhausted=self._out_of_threads)
            stack.callback(threads.close)
            self._processes = self._pool(stack)
            await self._open_routes(stack, threads)
            if not self._stopped_early:
                self._all_open.set()
                await asyncio.sleep(0)  # who waited for that goes first
                await self._run_pumps()
            await self._stop_handlers()
        if self._failure is not None:
            raise self._failure

    def _end(self) -> None:
        self._queues.clear()
        self._ended = True

    def _slots(self) -> int:
        wanted = sum(route.concurrency for route in self._routes)
        return min(wanted, self._concurrency or wanted)

    def _pool(self, stack: AsyncExitStack) -> Processes | None:
        """The pool of processes, if any handler needs one."""
        wanted = [
            bound for route in self._routes for bound in as_table(route.handlers) if bound.runs_in is RunsIn.PROCESS
        ]
        if not wanted:
            return None
        from .processes import Processes, check_can_be_found, usable_processors  # noqa: PLC0415 - few need it

        for bound in wanted:
            check_can_be_found(bound)
        pool = Processes(min(self._processes_wanted or usable_processors(), self._slots()))
        stack.callback(pool.close)
        return pool

    # -------------------------------------------------------------------------------------------------------- opening

    async def _open_routes(self, stack: AsyncExitStack, threads: Threads) -> None:
        assembly = self._assembly(threads)
        for route in self._routes:
            queue = await stack.enter_async_context(
                open_queue(route.queue, adapter=route.adapter, clock=self._clock, jitter=self._jitter)
            )
            self._queues[route.name] = queue
            self._pumps[route.name] = assembly.pump(route, queue)

    def _assembly(self, threads: Threads) -> Assembly:
        return Assembly(
            threads=threads,
            processes=self._processes,
            gate=Gate(self._concurrency),
            quota=Quota(self._until.max_messages, routes=len(self._routes)),
            until=self._until,
            grace=self._grace,
            thread_grace=self._thread_grace,
            clock=self._clock,
            jitter=self._jitter,
            watched=self._watch(),
            emit=self._emit,
            fail=self._fail,
            open_other=self._open_other,
        )

    async def _open_other(self, url: str) -> Queue:
        if self._others is None:
            raise AssertionError("follow-ups are made while routes run")
        return await self._others.queue(url)

    def _watch(self) -> bool:
        """Add the log; whether anybody wants the events of every single delivery."""
        watched = bool(self._observers) or LogObserver.wants_deliveries()
        self._observers.append(LogObserver({route.name: display_name(route.queue) for route in self._routes}))
        return watched

    def _opened(self, url: str) -> AbstractAsyncContextManager[Queue]:
        return open_queue(url, clock=self._clock, jitter=self._jitter)

    # -------------------------------------------------------------------------------------------------------- running

    async def _run_pumps(self) -> None:
        async with asyncio.TaskGroup() as group:
            guard = group.create_task(self._stop_when_asked())
            self._others = Others(group, self._opened, self._fail)
            async with asyncio.TaskGroup() as pumps:
                for pump in self._pumps.values():
                    pumps.create_task(self._run_pump(pump))
            guard.cancel()
            self._others.close()

    async def _run_pump(self, pump: Pump) -> None:
        self._emit(RouteStarted(route=pump.name))
        try:
            await pump.run()
        except Exception as error:
            log.exception("route %s broke down", pump.name)
            self._fail(error)
        finally:
            self._emit(RouteStopped(route=pump.name))

    def _fail(self, error: BaseException) -> None:
        """Remember the first failure and stop everything in order."""
        if not isinstance(error, (PulpoError, SystemExit, KeyboardInterrupt)):
            log.error("stopping, because of what should not happen", exc_info=error)
        self._failure = self._failure or error
        self.stop()

    def _out_of_threads(self) -> None:
        """Every thread was given up: nothing that needs one could be handled any more."""
        if not self._stopped_early:
            self._fail(PulpoError("every thread is taken by a handler that does not end; a new process can go on"))

    async def _stop_when_asked(self) -> None:
        if self._stop_requested is None or self._cut_requested is None:
            raise AssertionError("made by run")
        await self._stop_requested.wait()
        for pump in self._pumps.values():
            pump.stop()
        await self._clock.wait(self._cut_requested, self._grace.total_seconds())
        for _ in range(CANCELLATIONS):
            for pump in self._pumps.values():
                pump.cut()
            await self._clock.sleep(CANCEL_AGAIN)
        for pump in self._pumps.values():
            pump.give_up(timedelta(seconds=CANCEL_AGAIN * CANCELLATIONS))

    async def _stop_handlers(self) -> None:
        for stop, name in self._stops().items():
            try:
                async with asyncio.timeout(STOP_FOR):
                    await finish(stop())
            except Exception:
                log.exception("handler %s failed to stop", name)

    def _stops(self) -> Mapping[Callable[[], Any], str]:
        """What is to be called at the end, once for each object however often it is registered."""
        every = [bound for route in self._routes for bound in as_table(route.handlers)]
        return {bound.stop: bound.name for bound in every if bound.stop is not None}

    def _emit(self, event: Event) -> None:
        tell(self._observers, event)


async def _stats_of(queue: Queue) -> QueueStats | PulpoError:
    try:
        return await queue.stats()
    except PulpoError as error:
        return error


def _is_imported_again() -> bool:
    """Whether this is a process of a pool that imports the program which started it, and would run it once more."""
    module = sys.modules.get("multiprocessing.process")
    return module is not None and getattr(module.current_process(), "_inheriting", False)


def _limit(value: int | None, field: str) -> int | None:
    if value is not None and (not is_whole(value) or value < 1):
        raise ConfigurationError(f"{field}: expected a whole number from 1, not {value!r:.40}")
    return value
