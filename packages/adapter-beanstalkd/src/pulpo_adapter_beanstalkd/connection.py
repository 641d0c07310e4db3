"""One connection to beanstalkd on the event loop: commands go out in batches, answers come back as futures.

Whatever is asked in one turn of the loop goes out in one system call, unless somebody waits for the
answer to it and for nothing else: that goes out at once, behind what was asked before. Nothing is ever sent twice:
when a connection ends, what was sent and not answered is `Lost`, and whether it was carried out is
not known. No connection comes back to life; the next call opens another.

Deadlines here are of the event loop's own clock, since they are about a real socket: a connection
that owes answers and has sent nothing for its `timeout` is taken for dead, half-open ones included.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any, Final, cast

import attrs
import greenstalk

from pulpo_core import AdapterError

from .pipeline import Command, Exchange, Pipeline, Rubbish

#: Seconds that a connection may take to say goodbye before it is cut off.
CLOSE_LIMIT: Final = 1.0

_CLOSED: Final = "the queue was closed"

#: Answers after which a connection is of no use: beanstalkd has not understood us.
_MISUNDERSTANDINGS: Final[tuple[type[Exception], ...]] = (
    greenstalk.BadFormatError,
    greenstalk.UnknownCommandError,
    greenstalk.ExpectedCrlfError,
)


class Lost(Exception):
    """The connection ended before the answer came.

    Attributes:
        sent: whether the command may have reached beanstalkd, and so may have been carried out.
    """

    def __init__(self, cause: str, *, sent: bool) -> None:
        super().__init__(cause)
        self.sent = sent


@attrs.frozen(kw_only=True)
class Address:
    """Where a beanstalkd listens: *host* and *port*, or the *path* of a unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@attrs.define(slots=True, eq=False)
class _Asked:
    exchange: Exchange
    future: asyncio.Future[list[Any]]
    then: Callable[[list[Any]], None] | None
    patience: float  # how long beanstalkd itself may take over it
    asked_at: float
    sent: bool = False

    def answer(self, answers: list[Any]) -> None:
        if self.then is not None:
            self.then(answers)
        if not self.future.done():
            self.future.set_result(answers)


class Connection(asyncio.Protocol):
    """A connection; `dial` makes one.

    Attributes:
        address: for texts.
        ended: why it ended; empty while it is alive.
        gone: done once its socket is closed.
    """

    def __init__(self, address: Address, *, timeout: float, fatal: tuple[type[Exception], ...] = ()) -> None:
        self.address = address
        self.ended = ""
        self._leaving = False
        self._timeout = timeout
        self._fatal: tuple[type[Exception], ...] = (*_MISUNDERSTANDINGS, *fatal)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._pipeline = Pipeline()
        self._asked: deque[_Asked] = deque()
        self._outgoing: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._progress = self._loop.time()
        self.gone: asyncio.Future[None] = self._loop.create_future()

    @property
    def alive(self) -> bool:
        """Whether it can be asked anything."""
        return not self.ended and not self._leaving

    @property
    def quiet(self) -> bool:
        """Whether every answer is in."""
        return not self._asked

    def ask(
        self,
        commands: Sequence[Command],
        *,
        patience: float = 0.0,
        then: Callable[[list[Any]], None] | None = None,
        at_once: bool = False,
    ) -> asyncio.Future[list[Any]]:
        """Say *commands*; the answers to them, in order, within the timeout and *patience*.

        With *at_once* they are sent before this returns, and with them what is still to be sent.

        Each answer is what greenstalk's method returned, the error it raised, or `Lost`. The future
        never fails. Cancelling it takes nothing back: the commands go on, and *then*, which is told
        the answers before anybody who waits for them, hears them all the same.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if not self.alive or not commands:
            lost = Lost(self.ended or "the connection is being closed", sent=False)
            _Asked(Exchange(0), future, then, 0, 0).answer([lost for _ in commands])
            return future
        said, exchange = self._pipeline.say(commands)
        if not (self._outgoing or at_once):
            self._loop.call_soon(self._flush)
        self._outgoing.append(said)
        now = self._loop.time()
        self._asked.append(_Asked(exchange, future, then, patience, now))
        self._look_by(now + patience + self._timeout)
        if at_once:
            self._flush()
        return future

    def half_close(self) -> None:
        """Say that nothing more will be said: beanstalkd answers what was, a waiting reserve too, then closes."""
        if self._transport is None or not self.alive:
            return
        self._flush()
        self._leaving = True
        self._transport.write_eof()
        if len(self._asked) <= 1:  # a settlement before the reserve that waits is not hurried
            self._timeout = min(self._timeout, CLOSE_LIMIT)
        for asked in self._asked:
            asked.patience, asked.asked_at = 0.0, self._loop.time()
        self._look()

    def end(self, cause: str) -> None:
        """End it now. Jobs reserved through it go back as soon as beanstalkd notices."""
        if self.ended:
            return
        self.ended = cause
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        while self._asked:
            asked = self._asked.popleft()
            missing = [Lost(cause, sent=asked.sent) for _ in range(asked.exchange.missing)]
            asked.answer(asked.exchange.answers + missing)

    # ------------------------------------------------------------------------------ what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected."""
        self._transport = cast("asyncio.Transport", transport)  # a stream's protocol gets a stream's transport

    def data_received(self, data: bytes) -> None:
        """Answers have come in, whole or in part."""
        if self.ended:
            return
        self._progress = self._loop.time()
        try:
            complete = self._pipeline.hear(data)
        except Rubbish as error:
            self.end(f"{self.address} answered something that is not beanstalkd's protocol: {error}")
            return
        for exchange in complete:
            if self.ended:  # by an answer to an earlier one, which has answered them all
                return
            self._answer(exchange)

    def eof_received(self) -> None:
        """The other side has said all it will say."""
        self.end(f"{self.address} closed the connection")

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is closed."""
        self.end(f"connection to {self.address} lost: {exc}" if exc else f"connection to {self.address} lost")
        if not self.gone.done():
            self.gone.set_result(None)

    # -------------------------------------------------------------------------------------------------- inside

    def _flush(self) -> None:
        if self.ended or self._transport is None or not self._outgoing:
            return
        now = self._loop.time()
        for asked in reversed(self._asked):
            if asked.sent:
                break
            asked.sent, asked.asked_at = True, now  # what kept the loop from sending it is not beanstalkd's fault
        said, self._outgoing = b"".join(self._outgoing), []
        self._transport.write(said)

    def _answer(self, exchange: Exchange) -> None:
        asked = self._asked.popleft()
        if asked.exchange is not exchange:
            raise AssertionError("answers come in the order of questions")
        asked.answer(exchange.answers)
        if exchange.refused:
            for answer in exchange.answers:
                if isinstance(answer, self._fatal):
                    self.end(f"{self.address} answered {type(answer).__name__}")

    def _look_by(self, due: float) -> None:
        """Look then, if no earlier look is planned."""
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()  # it was set for somebody with more patience
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        """The timer is due, or times have changed: is an answer overdue?"""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.ended or not self._asked:
            return
        oldest = self._asked[0]
        due = max(oldest.asked_at + oldest.patience, self._progress) + self._timeout
        if due <= self._loop.time():
            self.end(f"{self.address} gave no answer within {self._timeout:g} s")
        else:
            self._look_by(due)


@attrs.define(kw_only=True, eq=False)
class Dialer:
    """Opens all connections of one queue to one beanstalkd, and closes them.

    Attributes:
        connect_timeout: seconds until a connection must be there.
        timeout: seconds until an answer must be there.
        closed: whether no more are opened.
    """

    address: Address
    connect_timeout: float
    timeout: float
    closed: bool = attrs.field(init=False, default=False)
    _connections: list[Connection] = attrs.field(init=False, factory=list)

    async def dial(
        self, *, use: str | None = None, watch: str | None = None, fatal: tuple[type[Exception], ...] = ()
    ) -> Connection:
        """A connection that puts into the tube *use* and reserves from the tube *watch*.

        Raises:
            Lost: there is none to be had, and nothing was carried out.
            AdapterError: the queue is closed.
        """
        self._check_open()
        connection = await self._connect(fatal)
        self._connections = [each for each in self._connections if not each.gone.done()] + [connection]
        if self.closed:  # meanwhile
            connection.end(_CLOSED)
            self._check_open()
        opening: list[Command] = []
        if use:
            opening.append(methodcaller("use", use))
        if watch:
            opening.append(methodcaller("watch", watch))
            if watch != greenstalk.DEFAULT_TUBE:
                opening.append(methodcaller("ignore", greenstalk.DEFAULT_TUBE))
        try:
            answers = await connection.ask(opening) if opening else []
        except asyncio.CancelledError:
            connection.end("cancelled")
            raise
        for answer in answers:
            if isinstance(answer, Exception):
                connection.end(f"{self.address} refused a tube")
                raise Lost(str(answer) or type(answer).__name__, sent=False) from answer
        return connection

    def _check_open(self) -> None:
        if self.closed:
            raise AdapterError("the queue is closed")

    async def close(self) -> None:
        """End every connection, open no other, and wait until their sockets are closed."""
        self.closed = True
        for connection in self._connections:
            connection.end(_CLOSED)
        if self._connections:  # the loop closes an aborted socket by itself, in its own time
            await asyncio.wait([connection.gone for connection in self._connections], timeout=CLOSE_LIMIT)

    async def _connect(self, fatal: tuple[type[Exception], ...]) -> Connection:
        loop, address = asyncio.get_running_loop(), self.address

        def protocol() -> Connection:
            return Connection(address, timeout=self.timeout, fatal=fatal)

        try:
            async with asyncio.timeout(self.connect_timeout):
                if address.path:
                    _, connection = await loop.create_unix_connection(protocol, address.path)
                else:
                    _, connection = await loop.create_connection(protocol, address.host, address.port)
        except TimeoutError as error:
            raise Lost(f"no connection to {address} within {self.connect_timeout:g} s", sent=False) from error
        except (OSError, UnicodeError) as error:  # the latter for what cannot be the name of a host
            raise Lost(f"no connection to {address}: {error}", sent=False) from error
        return connection
