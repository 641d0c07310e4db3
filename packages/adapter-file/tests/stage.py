"""Starting the actors of tests, and reading what they say."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ACTORS = Path(__file__).with_name("actors.py")

#: Real seconds after which an actor that says nothing is taken for hung. Never the measure of a promise.
HANG_GUARD = 50.0


class Actor:
    """A process, and the lines that it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[list[str]] = []
        self._said = asyncio.Event()
        self._ended = False

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            if line.endswith(b"\n"):  # the last line of a killed process may be a half one
                self.lines.append(line.decode().split())
                self._said.set()
        self._ended = True
        self._said.set()

    def said(self, word: str) -> list[list[str]]:
        """What followed *word* in each line that began with it."""
        return [line[1:] for line in self.lines if line[0] == word]

    async def until(self, word: str, times: int = 1) -> list[list[str]]:
        """Wait until it has begun *times* lines with *word*."""
        async with asyncio.timeout(HANG_GUARD):
            while len(self.said(word)) < times:
                assert not self._ended, f"it ended without saying {word!r} {times} times: {self.lines[-3:]}"
                self._said.clear()
                await self._said.wait()
        return self.said(word)

    async def end(self) -> int:
        """Wait until it has ended by itself; its status."""
        async with asyncio.timeout(HANG_GUARD):
            return await self.process.wait()

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        if self.process.returncode is None:
            self.process.kill()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something outside of this process."""
    async with asyncio.timeout(HANG_GUARD):
        while not condition():  # noqa: ASYNC110 - no event tells what other processes do
            await asyncio.sleep(0.002)


@asynccontextmanager
async def stage() -> AsyncIterator[Any]:
    """Starts actors inside the context; whoever is still there at its end is killed."""
    actors: list[Actor] = []
    async with asyncio.TaskGroup() as group:

        async def start(*arguments: object, interpreter: Sequence[str] = (sys.executable,)) -> Actor:
            command = [*interpreter, str(ACTORS), *map(str, arguments)]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            actor = Actor(process)
            actors.append(actor)
            group.create_task(actor.listen())
            return actor

        try:
            yield start
        finally:
            for actor in actors:
                actor.kill()
            for actor in actors:
                await actor.process.wait()
