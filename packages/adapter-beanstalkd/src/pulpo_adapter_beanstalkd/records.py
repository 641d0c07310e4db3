"""Why jobs were buried: beanstalkd has no room for a reason, so it lies in a job of its own beside them.

For each burial a small JSON record is put into the tube ``<tube>.buried``, before the job itself is
buried, and nothing is ever reserved from there for longer than it takes to read. A record tells

* `Inspector.buried` the reason, the error, the attempts and the time;
* a consumer that gets a kicked job how much of its counters belongs to the time before.

A record belongs to a job by its id and a hash of its body. One that no longer belongs to any job is
removed by whoever lists; losing a record never touches the job.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from operator import methodcaller
from typing import Any, Final

import attrs
import greenstalk

from pulpo_core import AdapterError, Capabilities, Clock, Jitter, MessageTooLarge

from .attempts import Baseline
from .connection import Connection, Dialer, Lost
from .errors import Doing, checked, error_of
from .link import Link
from .pipeline import RESERVE_NOW

#: Time to run of a record: no reading takes longer.
RECORD_TTR: Final = 120

#: Reserves that are on the way at once while records are read.
READ_BATCH: Final = 500

#: Of two who read at the same time, the one who holds more waits so often for the rest, so many seconds each time …
READ_LOOKS: Final = 20
READ_PAUSE: Final = 0.02

#: … and the other gives back what it has and begins anew, so often, after a random and growing pause.
READ_TRIES: Final = 12

#: All the same, so that records come in the order of burials.
RECORD_PRIORITY: Final = greenstalk.DEFAULT_PRIORITY

#: Longer texts are cut, so that a record fits into any sensible job size.
TEXT_LIMIT: Final = 2_000

_log = logging.getLogger("pulpo.adapter.beanstalkd")


def fingerprint(body: bytes) -> str:
    """Tells jobs with the same id apart."""
    return hashlib.sha256(body).hexdigest()[:32]


@attrs.frozen(kw_only=True)
class Burial:
    """The record of one burial.

    Attributes:
        job: the id of the buried job.
        body: the `fingerprint` of its body.
        attempts: as its last delivery counted them.
        reserves, lost, kicks: its counters in all.
    """

    job: int
    body: str
    reason: str
    error: str
    attempts: int
    reserves: int
    lost: int
    kicks: int
    at: datetime

    @property
    def baseline(self) -> Baseline:
        """What does not count any more after a kick."""
        return Baseline(self.reserves, self.lost, self.kicks)


def encode(burial: Burial) -> bytes:
    """The body of the job that holds *burial*."""
    texts = {"reason": burial.reason[:TEXT_LIMIT], "error": burial.error[:TEXT_LIMIT]}
    fields = attrs.asdict(burial) | texts | {"at": burial.at.isoformat(), "pulpo": 1}
    return json.dumps(fields, separators=(",", ":")).encode()


_COUNTS: Final = ("job", "attempts", "reserves", "lost", "kicks")
_TEXTS: Final = ("body", "reason", "error")


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 64  # what beanstalkd counts with


def decode(body: bytes) -> Burial | None:
    """The burial in *body*; `None` when it is something else, which is nobody's business here."""
    try:
        fields: Mapping[str, Any] = json.loads(body)
        if fields["pulpo"] != 1:
            return None
        told = {name: fields[name] for name in (*_COUNTS, *_TEXTS)}
        if not (all(_is_count(told[name]) for name in _COUNTS) and all(isinstance(told[name], str) for name in _TEXTS)):
            return None
        return Burial(**told, at=_moment_of(fields["at"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _moment_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("nobody can say when that was")
    return moment.astimezone(UTC)


@attrs.frozen
class Kept:
    """A record and the id of the job that holds it."""

    id: int
    burial: Burial


def _too_large(size: int, longest: int) -> MessageTooLarge:
    return MessageTooLarge(f"a record of {size} bytes; this beanstalkd keeps at most {longest} (its -z option)")


def _is_last(kept: Kept | None, stats: Mapping[str, Any]) -> bool:
    """Whether the job with *stats* can have no later record than *kept*, since between two burials it is kicked."""
    since = stats["state"] != "buried"
    return kept is not None and bool(kept.burial.kicks + since == stats["kicks"])


@attrs.define(eq=False)
class Reading:
    """All records, held while they are looked through.

    Attributes:
        burials: by the ids of the jobs that hold the records, oldest first.
        partial: some could not be read, because others held them.
    """

    _connection: Connection
    burials: dict[int, Burial] = attrs.field(factory=dict)
    partial: bool = False

    def take_in(self, answers: Iterable[Any]) -> int:
        """Read the jobs among *answers* to reserves; how many there were, records or not."""
        jobs = [answer for answer in answers if isinstance(answer, greenstalk.Job)]
        decoded = ((job.id, decode(job.body)) for job in jobs)
        self.burials |= {record_id: burial for record_id, burial in decoded if burial is not None}
        return len(jobs)

    async def remove(self, record_ids: Iterable[int]) -> None:
        """Remove records. One that cannot be removed is left for the next reader."""
        await self._connection.ask([methodcaller("delete", record_id) for record_id in record_ids])

    def release(self) -> None:
        """Let others read."""
        self._connection.end("the records are read")


class Records:
    """The records of one tube."""

    def __init__(
        self, dialer: Dialer, *, tube: str, clock: Clock, jitter: Jitter, capabilities: Callable[[], Capabilities]
    ) -> None:
        self._dialer = dialer
        self._tube = tube
        self._capabilities = capabilities
        self._clock = clock
        self._jitter = jitter
        self._link = Link(dialer, use=tube)
        self._known: dict[int, Kept] = {}
        self._stored_when_known = -1

    async def put(self, burials: Sequence[Burial]) -> list[AdapterError | None]:
        """Store *burials*; what went wrong with each."""
        longest = self._capabilities().max_body_bytes or 0
        bodies = [encode(burial) for burial in burials]
        puts = [methodcaller("put", body, RECORD_PRIORITY, 0, RECORD_TTR) for body in bodies if len(body) <= longest]
        answers = iter(await self._link.tell(puts))
        return [
            error_of(next(answers), Doing.PUBLISH) if len(body) <= longest else _too_large(len(body), longest)
            for body in bodies
        ]

    async def forget(self, record_ids: Sequence[int]) -> None:
        """Remove records that have served. One that cannot be removed is left for the next reader."""
        await self._link.tell([methodcaller("delete", record_id) for record_id in record_ids])

    async def find(self, jobs: Sequence[tuple[Mapping[str, Any], bytes]]) -> list[Kept | None]:
        """The last record of each of *jobs*, given by statistics and body; `None` where there is none to be read.

        All records are read and remembered. They are read anew only when one was put since, and a job has none yet
        that is known to be its last.
        """
        if not all(_is_last(self._known_of(stats, body), stats) for stats, body in jobs):
            await self._learn_news()
        return [self._known_of(stats, body) for stats, body in jobs]

    def _known_of(self, stats: Mapping[str, Any], body: bytes) -> Kept | None:
        known = self._known.get(stats["id"])
        return known if known and known.burial.body == fingerprint(body) else None

    async def _learn_news(self) -> None:
        (stats,) = await self._link.tell([methodcaller("stats_tube", self._tube)])
        stored = stats["total-jobs"] if isinstance(stats, dict) else -1
        if stored != self._stored_when_known and await self._learn():
            self._stored_when_known = stored

    async def _learn(self) -> bool:
        """Remember all records; whether there are no others."""
        try:
            async with self.reading() as reading:
                found = {burial.job: Kept(record_id, burial) for record_id, burial in reading.burials.items()}
                self._known = self._known | found if reading.partial else found
        except AdapterError as error:
            _log.warning("cannot tell how often kicked jobs were tried before: %s", error)
            return False
        return not reading.partial

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """All records; nobody else can read them inside the context.

        Raises:
            Unavailable: they cannot be read.
        """
        reading = await self._read()
        for tries in range(READ_TRIES):
            if not reading.partial:
                break
            reading.release()
            await self._clock.sleep(READ_PAUSE * (tries + 2 * self._jitter.random()))
            reading = await self._read()
        try:
            yield reading
        finally:
            reading.release()

    async def _read(self) -> Reading:
        reading = Reading(await self._connect())
        try:
            return await self._read_into(reading)
        except BaseException:
            reading.release()
            raise

    async def _connect(self) -> Connection:
        try:
            return await self._dialer.dial(watch=self._tube)
        except Lost as lost:
            raise error_of(lost, Doing.LOOK) or lost from lost

    async def _read_into(self, reading: Reading) -> Reading:
        connection, held, looks = reading._connection, 0, 0
        while True:
            (stats,) = checked(await connection.ask([methodcaller("stats_tube", self._tube)]), Doing.LOOK)
            ready = stats["current-jobs-ready"]
            others = stats["current-jobs-reserved"] - held
            if not ready and held > others > 0 and looks < READ_LOOKS:  # they have fewer, so they will give way
                looks += 1
                await self._clock.sleep(READ_PAUSE)
                continue
            if not ready:
                reading.partial = others > 0
                return reading
            answers = await connection.ask([RESERVE_NOW] * min(ready, READ_BATCH))
            taken = reading.take_in(answers)
            held += taken
            if not taken:
                checked([answer for answer in answers if not isinstance(answer, greenstalk.TimedOutError)], Doing.LOOK)
                reading.partial = True  # somebody else was quicker, or the tube is paused
                return reading
