"""One bash for a page: commands go in one by one, and what they print comes back."""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

PATIENCE = 20.0  # seconds; only a page that fails waits so long
_END = b"\x1e"

#: Reads commands from file descriptor 9, so that what they run has a standard input of its own, which is empty.
_LOOP = r"""
(exit 0)
while IFS= read -r -d '' command <&9; do
    eval "(exit ${status:-0}); $command" </dev/null 9<&-
    status=$?
    printf '\036%d\036' "$status"
done
"""


@attrs.frozen
class Ran:
    """How a command ended."""

    status: int
    output: str


class Shell:
    """A bash in *folder* that keeps its variables, its directory and its background processes.

    Args:
        logs: the folder for what background processes print.
        user: whose it is; the user of this process unless given.
        patience: seconds that a command may take.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        *,
        logs: Path,
        user: int | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._logs = logs
        self._patience = patience
        self._background: list[Background] = []
        reading, self._commands = os.pipe()
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-c", f"exec 9<&{reading} {reading}<&-\n{_LOOP}"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[reading],
            start_new_session=True,
            user=user,
            group=user,
            extra_groups=None if user is None else [],
        )
        os.close(reading)

    def run(self, command: str) -> Ran:
        """Run *command* to its end; after `wait`, also what the background has printed since it was looked at.

        Raises:
            TimeoutError: it does not end; the text says what it has printed.
        """
        ran = self._run(command)
        if command.split()[:1] != ["wait"]:
            return ran
        return Ran(ran.status, ran.output + "".join(each.rest() for each in self._background))

    def start(self, command: str) -> "Background":
        """Run *command*, which ends in ``&``, in the background."""
        log = self._logs / f"background-{len(self._background)}"
        # the shell's own streams are turned for a moment: what the command says about its streams must hold
        own = command.rstrip().removesuffix("&")
        self._run(f"exec 7>&1 8>&2 >{log} 2>&1\n{own} 7>&- 8>&- &\nexec >&7 2>&8 7>&- 8>&-")
        self._background.append(Background(log))
        return self._background[-1]

    def close(self) -> None:
        """End it and all that it has started."""
        os.close(self._commands)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def _run(self, command: str) -> Ran:
        os.write(self._commands, command.encode() + b"\0")
        output, status, _ = self._read().split(_END)
        return Ran(int(status), output.decode(errors="replace"))

    def _read(self) -> bytes:
        assert self._process.stdout is not None
        read = b""
        deadline = time.monotonic() + self._patience
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while read.count(_END) < 2:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise TimeoutError(f"not over within {self._patience:g} s; printed so far:\n{read.decode()}")
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    raise EOFError(f"the shell is gone; printed so far:\n{read.decode()}")
                read += chunk
        return read


class Background:
    """What a process in the background has printed, and how much of it has been looked at."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._seen = 0

    @property
    def news(self) -> str:
        """What nobody has looked at yet."""
        return self._log.read_text(errors="replace")[self._seen :] if self._log.exists() else ""

    def until(self, length_seen: Callable[[str], int | None]) -> bool:
        """Wait until *length_seen* says how much of the news it has looked at; whether it did in time."""
        deadline = time.monotonic() + PATIENCE
        while (length := length_seen(self.news)) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        self._seen += length
        return True

    def rest(self) -> str:
        """The news, and look at all of it."""
        news = self.news
        self._seen += len(news)
        return news
