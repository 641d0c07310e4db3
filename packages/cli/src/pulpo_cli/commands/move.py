"""`pulpo move`: take what is ready in one queue to another."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import rich_click as click

from pulpo_cli import errors
from pulpo_cli.frame import Command
from pulpo_cli.moving import Accounts, Moving
from pulpo_cli.options import QUEUE, json_option, queue_option, yes_option
from pulpo_cli.output import complain, confirmed, note, say, say_json
from pulpo_cli.progress import progress
from pulpo_cli.units import plural
from pulpo_core import Queue, StopSignals, open_queue, scheme_of, status_of

_TOLD = 10  # of the messages that the other queue refused


@click.command(cls=Command)
@queue_option
@click.option("--to", type=QUEUE, metavar="URL|ROUTE", required=True, help="The other queue, or the route that has it.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="So many at most.")
@click.option("--dry-run", is_flag=True, help="Open both queues, say how many are ready, and change nothing.")
@yes_option
@json_option
def move(queue: str, to: str, **options: Any) -> int:
    """Move what is ready to another queue.

    Delayed and buried messages stay. Each message is in the other queue before it is out of this one, so that nothing
    is lost when the move is cut short; it may then be in both. It starts there with a fresh budget of attempts. What
    the other queue refuses stays, and the status is 1.
    """
    if queue == to:
        raise click.UsageError("--to names the same queue as --queue")
    if scheme_of(to) == "memory" != scheme_of(queue):
        raise click.UsageError(f"--to {to}: a queue in memory ends with this command, and what was moved there with it")
    run = MoveRun(queue, to, **options)
    try:
        status = asyncio.run(run.work())
    except BaseException:
        if run.accounts and run.accounts.taken:
            run.conclude()
        raise
    run.conclude()
    return status


@attrs.define
class MoveRun:
    """One `pulpo move`: what was meant, and the accounts of it."""

    url: str
    to: str
    limit: int | None = attrs.field(kw_only=True)
    dry_run: bool = attrs.field(kw_only=True)
    yes: bool = attrs.field(kw_only=True)
    as_json: bool = attrs.field(kw_only=True)
    accounts: Accounts | None = attrs.field(init=False, default=None)

    async def work(self) -> int:
        """Open both, ask, and move; the exit status."""
        async with open_queue(self.url) as source, open_queue(self.to) as target:
            meant = await self._meant(source)
            if self.dry_run:
                return self._would(meant)
            if meant != 0 and not confirmed(f"Move {_messages(meant)} of {self.url} to {self.to}?", yes=self.yes):
                note("nothing was moved")
                return errors.FAILED
            self.accounts = Accounts()
            with progress("moving", total=meant) as show:
                return await self._move(Moving(source, target, accounts=self.accounts, limit=self.limit, show=show))

    async def _meant(self, source: Queue) -> int | None:
        ready = (await source.stats()).ready
        return ready if self.limit is None or ready is None else min(ready, self.limit)

    def _would(self, meant: int | None) -> int:
        if self.as_json:
            say_json({"dry_run": True, "ready": meant})
        else:
            say(f"would move {_messages(meant)}")
        return errors.DONE

    async def _move(self, moving: Moving) -> int:
        for each in StopSignals.NUMBERS:
            asyncio.get_running_loop().add_signal_handler(each, moving.stop)
        await moving.run()
        if moving.stopped:
            return errors.STOPPED
        return max((status_of(error) for error in moving.accounts.failed.values()), default=errors.DONE)

    def conclude(self) -> None:
        """Tell the accounts, however it ended."""
        accounts = self.accounts
        if accounts is None:
            return
        if self.as_json:
            say_json(accounts.document())
        else:
            say(f"moved {plural(accounts.moved, 'message')}")
        for id_, error in list(accounts.failed.items())[:_TOLD]:
            complain(f"{id_}: {errors.one_line(str(error))}")
        if len(accounts.failed) > _TOLD:
            complain(f"{len(accounts.failed) - _TOLD:,} more were refused")
        if accounts.in_both:
            complain(f"{plural(accounts.in_both, 'message')} may be in both queues: taking them out was not confirmed")


def _messages(count: int | None) -> str:
    return "all ready messages" if count is None else plural(count, "ready message")
