"""Looking at a tube and repairing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from operator import methodcaller
from typing import Any, Final, TypeGuard

import greenstalk

from pulpo_core import (
    AdapterError,
    Capabilities,
    Clock,
    MessageNotFound,
    Page,
    Peek,
    QueueStats,
    Record,
    State,
    Unsupported,
)

from .attempts import tried, was_buried
from .codec import MAX_SECONDS, STATES, envelope_of, job_id_of, whole_seconds
from .errors import Doing, checked, error_of
from .link import Link
from .pipeline import Command
from .records import Burial, Reading, Records, fingerprint

#: Jobs that are looked at or repaired in one go.
BATCH: Final = 500

_PEEKS: Final = {
    Peek.READY: methodcaller("peek_ready"),
    Peek.DELAYED: methodcaller("peek_delayed"),
    Peek.BURIED: methodcaller("peek_buried"),
}

_PEEK_OF: Final = {
    State.READY: _PEEKS[Peek.READY],
    State.DELAYED: _PEEKS[Peek.DELAYED],
    State.BURIED: _PEEKS[Peek.BURIED],
}

_STRANDED: Final = "held by nobody: beanstalkd could not write its log; restart it once there is room"


class BeanstalkdInspector:
    """See `Inspector`. beanstalkd knows jobs by id in all its tubes; here only those of one tube exist."""

    def __init__(
        self, *, tube: str, link: Link, clock: Clock, records: Records, capabilities: Callable[[], Capabilities]
    ) -> None:
        self._tube = tube
        self._link = link
        self._clock = clock
        self._records = records
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        """What this tube promises."""
        return self._capabilities()

    async def stats(self) -> QueueStats:
        """See `Inspector.stats`. The oldest age is that of the next job, which is the oldest of its priority."""
        first, stats = await self._ask([_PEEKS[Peek.READY], methodcaller("stats_tube", self._tube)])
        age = await self._age(first.id) if first else None
        return QueueStats(
            ready=stats["current-jobs-ready"],
            delayed=stats["current-jobs-delayed"],
            reserved=stats["current-jobs-reserved"],
            buried=stats["current-jobs-buried"],
            oldest_age=age,
            paused=stats["pause-time-left"] > 0,
        )

    async def _age(self, job: int) -> timedelta | None:
        stats = await self._stats_of(job)
        return timedelta(seconds=stats["age"]) if stats else None

    async def peek(self, kind: Peek, id: str | None = None) -> Record | None:  # noqa: A002 - the port's word
        """See `Inspector.peek`."""
        if kind is Peek.ID:
            wanted = job_id_of(id or "")
            command = methodcaller("peek", wanted)
        else:
            wanted, command = 1, _PEEKS[kind]
        if wanted is None:
            return None
        (job,) = await self._ask([command])
        stats = None if job is None else await self._stats_of(job.id)
        return await self._record(job, stats) if stats else None

    async def buried(self, *, limit: int = 1000) -> Page:
        """See `Inspector.buried`."""
        async with self._records.reading() as reading:
            found, stale = await self._match(reading, limit)
            await reading.remove(stale)
        first, stats = await self._ask([_PEEKS[Peek.BURIED], methodcaller("stats_tube", self._tube)])
        buried = stats["current-jobs-buried"]
        if first and str(first.id) not in {record.id for record in found}:
            about_first = await self._stats_of(first.id)
            if about_first and about_first["state"] == "buried":
                found.insert(0, self._described(first, about_first, None))
        found = found[:limit]
        missing = max(0, buried - len(found))
        note = _note(missing, reading, full=len(found) == limit)
        return Page(records=found, partial=reading.partial or missing > 0, note=note)

    async def _match(self, reading: Reading, limit: int) -> tuple[list[Record], list[int]]:
        """The buried jobs that records belong to, up to *limit*; and the records that belong to nothing."""
        newest = {burial.job: record_id for record_id, burial in reading.burials.items()}
        stale = [record_id for record_id, burial in reading.burials.items() if newest[burial.job] != record_id]
        found: list[Record] = []
        waiting = [(record_id, reading.burials[record_id]) for record_id in newest.values()]
        waiting.sort(key=lambda pair: pair[0])
        for start in range(0, len(waiting), BATCH):
            if len(found) >= limit:
                break
            part = waiting[start : start + BATCH]
            for (record_id, burial), job, stats in await self._look_up(part):
                if not job or not stats or fingerprint(job.body) != burial.body:
                    stale.append(record_id)
                elif stats["state"] == "buried":
                    found.append(self._described(job, stats, burial))
        return found, stale

    async def _look_up(self, part: list[tuple[int, Burial]]) -> list[tuple[tuple[int, Burial], Any, Any]]:
        commands: list[Command] = []
        for _, burial in part:
            commands += [methodcaller("peek", burial.job), methodcaller("stats_job", burial.job)]
        answers = await self._ask(commands)
        return [(pair, answers[2 * i], self._here(answers[2 * i + 1])) for i, pair in enumerate(part)]

    # ------------------------------------------------------------------------------------------------------ repairing

    async def kick(self, ids: Sequence[str] | None = None, *, limit: int | None = None) -> int:
        """See `Inspector.kick`."""
        if ids is not None:
            return await self._kick_these(ids)
        (stats,) = await self._ask([methodcaller("stats_tube", self._tube)])
        buried, delayed = stats["current-jobs-buried"], stats["current-jobs-delayed"]
        wanted = buried if limit is None else min(limit, buried)
        if wanted <= 0:
            return 0
        if not delayed:
            (kicked,) = await self._ask([methodcaller("kick", wanted)], Doing.REPAIR)
            return int(kicked)
        return await self._kick_one_by_one(wanted)

    async def _kick_these(self, ids: Sequence[str]) -> int:
        jobs = [job_id_of(text) for text in dict.fromkeys(ids)]
        for text, stats in zip(dict.fromkeys(ids), await self._stats_of_each(jobs), strict=True):
            if not stats or stats["state"] != "buried":
                raise MessageNotFound(f"job {text} is not buried in tube {self._tube}; nothing was kicked")
        answers = await self._ask([methodcaller("kick_job", job) for job in jobs], Doing.REPAIR)
        return sum(answer is True for answer in answers)

    async def _kick_one_by_one(self, wanted: int) -> int:
        """Kick the oldest *wanted* jobs. beanstalkd's own kick would go on with delayed ones once none is buried."""
        kicked = 0
        (job,) = await self._ask([_PEEKS[Peek.BURIED]])
        for _ in range(wanted):
            if not job:
                break
            done, job = await self._ask([methodcaller("kick_job", job.id), _PEEKS[Peek.BURIED]], Doing.REPAIR)
            kicked += bool(done)
        return kicked

    async def delete(self, ids: Sequence[str]) -> Sequence[AdapterError | None]:
        """See `Inspector.delete`."""
        jobs = [job_id_of(text) for text in ids]
        about = await self._stats_of_each(jobs)
        free = [stats for stats in about if _is_free(stats)]
        answers = await self._tell([methodcaller("delete", stats["id"]) for stats in free])
        deleted = [stats for stats, answer in zip(free, answers, strict=True) if answer is None]
        await self._drop_records({stats["id"] for stats in deleted if was_buried(stats)})
        left = iter(answers)
        return [
            error_of(next(left), Doing.REPAIR) if _is_free(stats) else _undeletable(text, stats)
            for text, stats in zip(ids, about, strict=True)
        ]

    async def purge(self, states: frozenset[State]) -> int:
        """See `Inspector.purge`. One round trip for each job; what comes in meanwhile may stay."""
        if not states <= _PEEK_OF.keys():
            raise Unsupported(f"a tube can be purged of what is {', '.join(sorted(_PEEK_OF))}, not of anything else")
        (stats,) = await self._ask([methodcaller("stats_tube", self._tube)])
        purged: set[int] = set()
        for state in sorted(states):
            purged |= await self._purge(_PEEK_OF[state], stats[f"current-jobs-{state}"])
        if State.BURIED in states:
            await self._drop_records(purged)
        return len(purged)

    async def _purge(self, peek: Command, most: int) -> set[int]:
        purged: set[int] = set()
        (job,) = await self._ask([peek])
        for _ in range(most):
            if not job:
                break
            last = job.id
            deleted, job = await self._ask([methodcaller("delete", last), peek], Doing.REPAIR)
            if deleted:
                purged.add(last)
        return purged

    async def _drop_records(self, jobs: set[int]) -> None:
        """Remove what was recorded about *jobs*; if that cannot be done now, whoever lists does it."""
        if not jobs:
            return
        with suppress(AdapterError):
            async with self._records.reading() as reading:
                await reading.remove([record_id for record_id, burial in reading.burials.items() if burial.job in jobs])

    async def pause(self, duration: timedelta | None = None) -> None:
        """See `Inspector.pause`; rounded up to whole seconds, and without *duration* for as long as beanstalkd can.

        beanstalkd forgets a tube, and its pause, once nothing is in it and nobody is connected to it.
        """
        seconds = MAX_SECONDS if duration is None else max(1, whole_seconds(duration))
        await self._ask([methodcaller("pause_tube", self._tube, seconds)], Doing.REPAIR)

    async def resume(self) -> None:
        """See `Inspector.resume`."""
        await self._ask([methodcaller("pause_tube", self._tube, 0)], Doing.REPAIR)

    # ---------------------------------------------------------------------------------------------------- asking

    async def _tell(self, commands: list[Command]) -> list[Any]:
        answers: list[Any] = []
        for start in range(0, len(commands), BATCH):
            answers += await self._link.tell(commands[start : start + BATCH])
        return answers

    async def _ask(self, commands: list[Command], doing: Doing = Doing.LOOK) -> list[Any]:
        """The answers: `None` for what was not found, `True` for what was done.

        Raises:
            AdapterError: any other answer.
        """
        answers = [_plain(answer) for answer in await self._tell(commands)]
        return checked(answers, doing)

    async def _stats_of_each(self, jobs: Sequence[int | None]) -> list[dict[str, Any] | None]:
        """The statistics of jobs of this tube; `None` for what is not one."""
        wanted = [job for job in jobs if job is not None]
        answers = iter(await self._ask([methodcaller("stats_job", job) for job in wanted]))
        return [None if job is None else self._here(next(answers)) for job in jobs]

    async def _stats_of(self, job: int) -> dict[str, Any] | None:
        (stats,) = await self._stats_of_each([job])
        return stats

    def _here(self, stats: dict[str, Any] | None) -> dict[str, Any] | None:
        return stats if stats and stats["tube"] == self._tube else None

    async def _record(self, job: greenstalk.Job[bytes], stats: dict[str, Any]) -> Record:
        (kept,) = await self._records.find([(stats, job.body)]) if was_buried(stats) else [None]
        return self._described(job, stats, kept.burial if kept else None)

    def _described(self, job: greenstalk.Job[bytes], stats: dict[str, Any], burial: Burial | None) -> Record:
        state, now = STATES[stats["state"]], self._clock.now
        buried = burial if state is State.BURIED else None
        return Record(
            id=str(job.id),
            state=state,
            envelope=envelope_of(job.id, job.body, tube=self._tube, now=now, stats=stats),
            attempts=buried.attempts if buried else tried(stats, burial.baseline if burial else None),
            reason=buried.reason if buried else None,
            error=buried.error if buried else _STRANDED if _is_stranded(stats) else None,
            buried_at=buried.at if buried else None,
            ready_at=now() + timedelta(seconds=stats["time-left"]) if state is State.DELAYED else None,
        )


def _plain(answer: Any) -> Any:
    """`True` for what was done without further words, `None` for what was not found."""
    return True if answer is None else None if isinstance(answer, greenstalk.NotFoundError) else answer


def _is_stranded(stats: Mapping[str, Any]) -> bool:
    """Whether a job is reserved by nobody, which is what a full log of beanstalkd does to it."""
    return bool(stats["state"] == "reserved" and stats["time-left"] < 0)


def _is_free(stats: Mapping[str, Any] | None) -> TypeGuard[Mapping[str, Any]]:
    """Whether the job is there, and nobody is handling it."""
    return stats is not None and stats["state"] != "reserved"


def _undeletable(text: str, stats: Mapping[str, Any] | None) -> AdapterError:
    if stats is None:
        return MessageNotFound(f"there is no job {text} in this tube")
    return AdapterError(f"job {text} is being handled; it can be deleted when that has ended", temporary=True)


def _note(missing: int, reading: Reading, *, full: bool) -> str:
    notes = []
    if reading.partial:
        notes.append("some records are being read by others")
    if missing:
        why = "" if full else ": of those without a record only the first can be"
        notes.append(f"{missing} more buried jobs are not shown{why}")
    return "; ".join(notes)
