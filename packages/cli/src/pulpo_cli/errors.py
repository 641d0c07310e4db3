"""From an error to its exit status and its one line. Nothing else in the command knows statuses."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import rich_click as click

from .session import Session
from .units import printable

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
NO_APPLICATION = 4
UNSUPPORTED = 6
STOPPED = 130

#: What each tells whoever started the command.
MEANINGS: Mapping[int, str] = {
    DONE: "done, or every message was settled",
    FAILED: "the operation failed, or there is nothing by that id",
    USAGE: "wrong usage, or wrong settings: of the command, of a queue, or at the broker",
    UNREACHABLE: "the broker cannot be reached",
    NO_APPLICATION: "the application cannot be imported, or something is missing in it",
    UNSUPPORTED: "this kind of queue cannot do that",
    STOPPED: "stopped before everything was settled, or by a signal",
}


@attrs.frozen
class Failure:
    """How a command that did not succeed ends.

    Attributes:
        status: the exit status.
        line: what went wrong, for stderr; empty when there is nothing to add. Several lines when several things did.
    """

    status: int
    line: str


def _usage(error: click.ClickException) -> Failure:
    context = getattr(error, "ctx", None)
    hint = f"; see '{context.command_path} --help'" if context else ""
    return Failure(USAGE, one_line(error.format_message()).rstrip(".") + hint)


def _reader_gone(_: BrokenPipeError) -> Failure:
    """Whoever read our output has seen enough; what is still buffered has no reader."""
    _drop_output()
    return Failure(FAILED, "")


#: What the system says when a stream cannot take more. Adapters have words of their own for their files.
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def _outside(error: OSError) -> Failure:
    """What the operating system refuses: to take our output, on a full disk for instance, or what nobody expected."""
    if isinstance(error, FileNotFoundError) and error.filename is None and _is_nowhere():
        return Failure(USAGE, "the working directory is not there any more: go to one that is")
    if error.errno not in _NO_ROOM or error.filename is not None:
        return _failure_in_pulpo(error)
    _drop_output()
    return Failure(FAILED, f"standard output: {error.strerror}; not all that was to be printed is there")


def _is_nowhere() -> bool:
    """Whether the working directory was removed, as deployments do with what they replace."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _drop_output() -> None:
    """Let what is still buffered vanish, so that the interpreter does not try once more and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


#: The first class that an error is an instance of says how it is met. Errors of pulpo itself know their own
#: status and come before the last row; see `failure_of`.
_TABLE: tuple[tuple[type[BaseException], Callable[[Any], Failure]], ...] = (
    (click.UsageError, _usage),
    (click.ClickException, lambda error: Failure(USAGE, one_line(error.format_message()))),
    (click.Abort, lambda _: Failure(STOPPED, "stopped")),
    (KeyboardInterrupt, lambda _: Failure(STOPPED, "stopped")),
    (BrokenPipeError, _reader_gone),
    (OSError, _outside),
    (SystemExit, lambda error: Failure(FAILED, f"the application ended the process: SystemExit: {error.code}")),
)


def failure_of(error: BaseException) -> Failure:
    """How the command ends because of *error*."""
    for cls, answer in _TABLE:
        if isinstance(error, cls):
            failure: Failure = answer(error)
            return failure
    return _failure_in_pulpo(error)


def _failure_in_pulpo(error: BaseException) -> Failure:
    from pulpo_core import PulpoError, error_text, status_of  # noqa: PLC0415 - `pulpo --version` must not wait for it

    if isinstance(error, PulpoError):
        lines = getattr(error, "lines", (str(error),))  # of `WrongSettings`
        return Failure(status_of(error), "\n".join(one_line(each) for each in lines))
    return Failure(FAILED, f"{error_text(error)} (this should not happen; -vv shows where it came from)")


def one_line(text: str) -> str:
    """*text* with every run of white space as one space."""
    return " ".join(text.split())


def report(error: BaseException, session: Session) -> int:
    """Tell a person about *error* on stderr; the exit status."""
    error = _single(error)
    if session.tracebacks and isinstance(error, Exception) and not isinstance(error, click.ClickException):
        traceback.print_exception(error)
    failure = failure_of(error)
    if session.leash is not None:  # every worker has the same to say, and their supervisor says it once
        session.leash.failed(failure.line)
        return failure.status
    for line in failure.line.splitlines():
        print(f"pulpo: {printable(line)}", file=sys.stderr)
    return failure.status


def _single(error: BaseException) -> BaseException:
    """The error that matters in a group: a person is told one thing."""
    leaves = list(_leaves(error))
    return next((each for each in leaves if not isinstance(each, Exception)), leaves[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
