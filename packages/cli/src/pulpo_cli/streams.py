"""The three standard streams of the process, whatever it was started with."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any, Final

_NAMES: Final = ("stdin", "stdout", "stderr")


def prepare() -> None:
    """See to it that all three are there, and that nothing fails because a person cannot be told of it."""
    for name in _NAMES:
        if getattr(sys, name) is None:
            _open(name)
    if isinstance(sys.stderr, io.TextIOWrapper) and sys.stderr is sys.__stderr__:
        sys.stderr = _forgiving(sys.stderr)


def _open(name: str) -> None:
    """In the place of a stream that was closed: else the next file that is opened would get its number.

    Numbers are given out from the lowest on, so the streams have to be opened in their order.
    """
    stream = Path(os.devnull).open("r" if name == "stdin" else "w")  # noqa: SIM115 - stays open
    os.set_inheritable(stream.fileno(), True)
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


def _forgiving(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """*stream*, which forgets what it cannot write."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Forgiving(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=True,
    )


class _Forgiving(io.FileIO):
    """A file whose disk may be full, and whose reader may be gone."""

    def write(self, data: Any, /) -> int:
        """Write *data* as far as it can be written."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes
