"""A TCP proxy for tests: it can cut its connections, and swallow what goes through them."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

from tests.servers import HOST

_CHUNK = 65_536


class Proxy:
    """Listens on a port of its own and passes everything on to *target*, in threads, until it is closed."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._passing = threading.Event()
        self._passing.set()
        self._replies_left: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End all connections at once, with a reset on both sides."""
        with self._lock:
            sockets, self._sockets = self._sockets, set()
        for each in sockets:
            _reset(each)

    def hold(self) -> None:
        """Let nothing through any more, in either direction; connections stay open, as behind a dead router."""
        self._passing.clear()

    def go_on(self) -> None:
        """Let everything through again, what was held first."""
        self._passing.set()

    def cut_in_reply(self, size: int) -> None:
        """Pass on *size* more bytes of what the target says, then cut the connection that says them."""
        self._replies_left = size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _reset(self._listener)
        self._passing.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(self.target)
            except ConnectionRefusedError:
                _reset(client)
                continue
            except OSError:
                return
            with self._lock:
                self._sockets |= {client, server}
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_reply: bool) -> None:
        try:
            while data := source.recv(_CHUNK):
                self._passing.wait()
                sink.sendall(self._part(data) if is_reply else data)
                if is_reply and self._replies_left == 0:
                    self._replies_left = None
                    self.cut()
                    return
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            _reset(source)
            _reset(sink)

    def _part(self, data: bytes) -> bytes:
        if self._replies_left is None:
            return data
        part = data[: self._replies_left]
        self._replies_left -= len(part)
        return part


def _reset(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
