"""Waking receivers that wait: within a process by its own loop, across processes by datagrams.

Whoever waits has a socket in the directory ``FILE.wake``; whoever has stirred a queue sends its
number to every socket there. Nothing depends on a datagram's arrival: who waits looks again every
`LOOK_AGAIN` seconds in any case, and when the next delay or lease ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from .filesystem import Folder, companion_mode, give_to_owner

_log: Final = logging.getLogger("pulpo.adapter.file")

#: Seconds after which a waiting receive looks whether a datagram was missed.
LOOK_AGAIN: Final = 1.0

#: The same where there is no socket for datagrams to come to.
LOOK_OFTEN: Final = 0.05

_LONGEST_ADDRESS: Final = 100  # bytes; a little below what the smallest system allows
_MAX_DATAGRAM: Final = 512
_GONE: Final = (ConnectionRefusedError, FileNotFoundError)


def directory_of(queue_file: Path) -> Path:
    """Where the sockets of those who wait are."""
    return queue_file.with_name(queue_file.name + ".wake")


@functools.cache
def _process_of(pid: int) -> str:
    return f"{pid}-{os.urandom(4).hex()}"


def _process() -> str:
    """Names this process among all that can see the directory, in whatever container they run."""
    return _process_of(os.getpid())


class _Directory:
    """A directory of sockets, reached by a descriptor where its path is too long for an address."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def address(self, name: str) -> str | None:
        """Where the socket *name* is; `None` if no address can say so."""
        direct = str(self.path / name)
        if len(os.fsencode(direct)) <= _LONGEST_ADDRESS:
            return direct
        if not Path("/proc/self/fd").is_dir():
            return None
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._descriptor}/{name}"

    def close(self) -> None:
        """Let go of the descriptor."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class Bell:
    """Rings for those who wait, from any thread; one of each writer."""

    def __init__(self, queue_file: Path) -> None:
        self._directory = _Directory(directory_of(queue_file))
        self._folder = Folder(self._directory.path)
        self._socket: socket.socket | None = None
        self._names: list[str] = []

    def ring(self, queues: Iterable[int]) -> None:
        """Let every other process that waits look again at *queues*."""
        names = self._listeners()
        if names:
            message = " ".join(map(str, queues)).encode()[:_MAX_DATAGRAM]
            for name in names:
                self._send(name, message)

    def _listeners(self) -> Iterable[str]:
        """The sockets of other processes; listed anew only when the directory was changed since."""
        try:
            if not self._folder.is_as_seen():
                mine = _process()
                self._names = [each.name for each in os.scandir(self._directory.path) if not each.name.startswith(mine)]
                self._folder.note_seen()
        except OSError:
            return ()  # nobody has ever waited
        return self._names

    def _send(self, name: str, message: bytes) -> None:
        try:
            address = self._directory.address(name)
            if address is not None:
                self._open().sendto(message, address)
        except _GONE:
            with contextlib.suppress(OSError):
                (self._directory.path / name).unlink()  # of a process that was killed
        except OSError:
            pass  # its buffer is full, so it will look anyway; or it is not ours to ring for; or there is no socket

    def _open(self) -> socket.socket:
        if self._socket is None:
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            opened.setblocking(False)
            self._socket = opened
        return self._socket

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
        self._directory.close()


class Ear:
    """Hears the bells of other processes, in one loop; one of each open queue that waits."""

    def __init__(self, queue_file: Path) -> None:
        self._queue_file = queue_file
        self._directory = _Directory(directory_of(queue_file))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: socket.socket | None = None
        self._name = ""
        self._waiting: set[asyncio.Event] = set()
        self.queue_id: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever the queue was stirred inside the context."""
        if self._socket is None:
            try:
                self._open()
            except OSError as error:
                _log.info("%s: no socket to be woken through (%s); looking often instead", self._directory.path, error)
        event = asyncio.Event()
        self._waiting.add(event)
        try:
            yield event
        finally:
            self._waiting.discard(event)

    @property
    def is_waiting(self) -> bool:
        """Whether anybody waits here; from any thread."""
        return bool(self._waiting)

    def stir(self) -> None:
        """Let everybody who waits here look again; from the loop of the queue."""
        for event in self._waiting:
            event.set()

    @property
    def patience(self) -> float:
        """Seconds for which waiting for an event is good enough."""
        return LOOK_OFTEN if self._socket is None else LOOK_AGAIN

    def _open(self) -> None:
        self._make_directory()
        self._name = f"{_process()}-{os.urandom(4).hex()}"
        address = self._directory.address(self._name)
        if address is None:
            raise OSError("its path is too long for the address of a socket")
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            bound.setblocking(False)
            bound.bind(address)
            place = self._directory.path / self._name
            place.chmod(companion_mode(self._queue_file))
            give_to_owner(place, self._queue_file)
        except OSError:
            bound.close()
            raise
        self._socket, self._loop = bound, asyncio.get_running_loop()
        self._loop.add_reader(bound, self._heard, bound)

    def _make_directory(self) -> None:
        path = self._directory.path
        if path.is_dir() and not stat.S_ISLNK(path.lstat().st_mode):
            return
        path.mkdir(mode=0o700, exist_ok=True)
        path.chmod(companion_mode(self._queue_file, directory=True) | 0o300)
        give_to_owner(path, self._queue_file)

    def _heard(self, bound: socket.socket) -> None:
        mine = False
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while True:
                message = bound.recv(_MAX_DATAGRAM)
                mine = mine or self.queue_id is None or str(self.queue_id).encode() in message.split()
        if mine:
            self.stir()

    def close(self) -> None:
        """Stop hearing, and let everybody who waits here look a last time."""
        self.stir()
        listening, self._socket = self._socket, None
        if listening is not None and self._loop is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(listening)
            listening.close()
            with contextlib.suppress(OSError):
                (self._directory.path / self._name).unlink()
        self._directory.close()
