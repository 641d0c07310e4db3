"""greenstalk, pipelined: saying and listening are taken apart, and no byte of the protocol is ours.

Theory of operation. A `greenstalk.Client` does exactly two things with the socket it is given: one
`sendall` for each command, then reads of one reply from `makefile("rb")`. Both are public methods
of a socket, so what we give it is a socket on paper, which has no file descriptor at all:

1. *Saying.* The client's method is called; `sendall` notes the bytes and leaves the call by an
   exception. The notes of many commands go out in one system call.
2. *Listening.* When bytes have come in, the same method is called again. `sendall` only checks
   that these very bytes were said, and greenstalk parses its reply, errors included, from what has
   come in. A reply that is not complete yet leaves the call by another exception and is read again later.

Most commands are answered by a word or two and nothing else, `delete` above all. Once greenstalk has
read such an answer to a verb, the same bytes in answer to the same verb are the same answer, and it is
not asked again.

Replies come in the order of commands, so a queue of what was said is all the state there is. An
answer that fits no command is `Rubbish`, and nothing that comes after it can be trusted.

Nothing here does I/O, waits, or knows the time: `connection` does.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any, Final, NoReturn

import attrs
import greenstalk

#: What is said to beanstalkd: a call of one method of greenstalk's client.
Command = Callable[["greenstalk.Client[bytes]"], Any]

#: Asks for a job that is ready. Said more often than anything else and the same each time, so its bytes are kept.
RESERVE_NOW: Final[Command] = methodcaller("reserve", 0)

#: A reply's line is a word and at most two numbers, or a tube's name of 200 bytes.
LINE_LIMIT: Final = 1_024

#: The largest body that any beanstalkd can be configured to take, and its line end.
CHUNK_LIMIT: Final = 2**30 + 2

_CRLF: Final = b"\r\n"
_NO_BODY: Final = len(_CRLF)


class Rubbish(Exception):
    """What came in is not an answer to what was said."""


class _Noted(Exception):
    """Leaves greenstalk's call once the command is noted."""


class _Incomplete(Exception):
    """Leaves greenstalk's call when its reply is not there in full."""


class _Paper(socket.socket):
    """What greenstalk takes for a connected socket, and for the file it reads from.

    The exceptions are made anew each time: one shared instance would collect tracebacks for ever.
    """

    def __init__(self) -> None:  # the parent's would open a file descriptor, which nobody here needs
        self.expected: bytes | None = None
        self.noted = b""
        self.data = b""
        self.position = 0
        self.needed = 0

    def getpeername(self) -> str:
        return "paper"

    def makefile(self, *_: Any, **__: Any) -> Any:
        return self

    def sendall(self, data: Any, _flags: int = 0) -> None:
        if self.expected is None:
            self.noted = data
            raise _Noted
        if data != self.expected:
            raise Rubbish("a command was repeated in other words")

    def readline(self) -> bytes:
        start = self.position
        end = self.data.find(_CRLF, start, start + LINE_LIMIT) + 2
        if end == 1:
            self._miss_line(len(self.data) - start)
        self.position = end
        return self.data[start:end]

    def _miss_line(self, length: int) -> NoReturn:
        if length > LINE_LIMIT:
            raise Rubbish(f"a line of {length} bytes or more; expected at most {LINE_LIMIT}")
        self.needed = 0
        raise _Incomplete

    def read(self, size: int) -> bytes:
        if size < _NO_BODY or size > CHUNK_LIMIT:
            raise Rubbish(f"a body of {size - _NO_BODY} bytes; expected 0 to {CHUNK_LIMIT - _NO_BODY}")
        end = self.position + size
        chunk = self.data[self.position : end]
        if len(chunk) < size:
            self.needed = end
            raise _Incomplete
        if not chunk.endswith(_CRLF):
            raise Rubbish("a body without its line end")
        self.position = end
        return chunk

    def close(self) -> None:
        """There is nothing to close."""


@attrs.define(slots=True, eq=False)
class Exchange:
    """Some commands, and their answers once they are in.

    Attributes:
        answers: one for each command, in order: what greenstalk's method returned, or the error it raised.
        missing: how many are not there yet.
        refused: whether any of them is an error.
    """

    missing: int
    answers: list[Any] = attrs.field(factory=list)
    refused: bool = False


_Said = tuple[bytes, bytes, Command, Exchange]  # in bytes, the first word of that, as a call, where its answer goes


class Pipeline:
    """What was said on one connection and is not answered yet."""

    def __init__(self) -> None:
        self._paper = _Paper()
        self._client: greenstalk.Client[bytes] = greenstalk.Client(self._paper, encoding=None)
        self._said: deque[_Said] = deque()
        self._done: dict[bytes, bytes] = {}  # the line that greenstalk took for "done, and nothing to say", by verb
        self._pieces: list[bytes] = []  # what came in and is not read yet
        self._heard = 0  # its length
        self._reserve_now = self._note(RESERVE_NOW)

    def say(self, commands: Sequence[Command]) -> tuple[bytes, Exchange]:
        """The bytes that say *commands*, to be sent before those of any later call; and what will hold the answers."""
        exchange = Exchange(len(commands))
        said: list[_Said] = []
        last: Command | None = None
        noted = verb = b""
        for command in commands:
            if command is not last:  # the same again, as in a batch of reserves, is the same bytes again
                last, noted = command, self._reserve_now if command is RESERVE_NOW else self._note(command)
                verb = noted[: noted.find(b" ")]
            said.append((noted, verb, command, exchange))
        self._said.extend(said)
        return b"".join([each[0] for each in said]), exchange

    def _note(self, command: Command) -> bytes:
        """The bytes with which greenstalk says *command*."""
        paper = self._paper
        paper.expected = None
        try:
            command(self._client)
        except _Noted:
            return paper.noted
        raise AssertionError("a command said nothing")

    def hear(self, data: bytes) -> list[Exchange]:
        """Take in what came from beanstalkd; the exchanges that are complete by now.

        Raises:
            Rubbish: it is no answer to what was said. Nothing may be said or heard any more.
        """
        paper, pieces = self._paper, self._pieces
        if pieces:
            pieces.append(data)
            self._heard += len(data)
            if self._heard < paper.needed:  # a large body, piece by piece: joined once
                return []
            data = b"".join(pieces)
            pieces.clear()
        paper.data, paper.position = data, 0
        complete = self._read_answers(data)
        self._heard = len(data) - paper.position
        if self._heard:
            pieces.append(data[paper.position :])
            if not self._said:
                raise Rubbish("an answer to nothing")
        return complete

    def _read_answers(self, data: bytes) -> list[Exchange]:
        paper, said, done = self._paper, self._said, self._done
        complete: list[Exchange] = []
        while said and paper.position < len(data):
            _, verb, _, exchange = said[0]
            line = done.get(verb)
            if line is not None and data.startswith(line, paper.position):  # what greenstalk has read before
                paper.position += len(line)
                answer = None
            else:
                try:
                    answer = self._read_answer(paper.position)
                except _Incomplete:
                    return complete
            said.popleft()
            exchange.answers.append(answer)
            exchange.missing -= 1
            if not exchange.missing:
                complete.append(exchange)
        return complete

    def _read_answer(self, start: int) -> Any:
        """What greenstalk reads, from *start* on, in answer to the oldest command."""
        paper = self._paper
        paper.expected, verb, command, exchange = self._said[0]
        try:
            answer = command(self._client)
        except _Incomplete:
            paper.needed = max(paper.needed - start, 0)
            paper.position = start
            raise
        except greenstalk.BeanstalkdError as error:
            exchange.refused = True
            return error
        except Rubbish:
            raise
        except Exception as error:  # greenstalk asserts, unpacks and converts what it reads
            raise Rubbish(f"no reply to its command: {type(error).__name__}") from error
        if answer is None:
            self._done[verb] = paper.data[start : paper.position]
        return answer
