"""A disk that can lose its power at any moment, under the real SQLite of this process.

`recording` puts itself between SQLite and the operating system: every connection opened inside the
context works as ever, and each write, truncation, removal and flush is noted in order, beside the
notes that the test makes (`Recording.note`). `Recording.disk` then says what a disk would hold if
the power had failed after any of these events.

How: SQLite reaches files through a table of functions, its VFS. A copy of the default one is made
the default, whose "open" replaces four functions of each file it opens; all else stays SQLite's own.
The zeros that pulpo itself writes behind the end of a log are noted as well.
"""

import contextlib
import ctypes
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import attrs

from pulpo_adapter_file import room

SECTOR: Final = 512  # bytes that a disk writes in whole or not at all

_P, _I, _L = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64

_CLOSE = ctypes.CFUNCTYPE(_I, _P)
_WRITE = ctypes.CFUNCTYPE(_I, _P, _P, _I, _L)
_TRUNCATE = ctypes.CFUNCTYPE(_I, _P, _L)
_SYNC = ctypes.CFUNCTYPE(_I, _P, _I)
_OPEN = ctypes.CFUNCTYPE(_I, _P, _P, _P, _I, _P)  # the name by its address: SQLite keeps it, with what stands behind
_DELETE = ctypes.CFUNCTYPE(_I, _P, _P, _I)


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``."""

    _fields_ = (
        ("version", _I),
        ("close", _P),
        ("read", _P),
        ("write", _P),
        ("truncate", _P),
        ("sync", _P),
        ("rest", _P * 13),
    )


class _File(ctypes.Structure):
    """``sqlite3_file``: what follows the pointer is the business of whoever opened it."""

    _fields_ = (("methods", ctypes.POINTER(_Methods)),)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``."""

    _fields_ = (
        ("version", _I),
        ("file_size", _I),
        ("max_path", _I),
        ("next", _P),
        ("name", ctypes.c_char_p),
        ("data", _P),
        ("open", _P),
        ("delete", _P),
        ("rest", _P * 20),
    )


@attrs.frozen
class Write:
    """Bytes on their way to the disk."""

    path: str
    offset: int
    data: bytes


@attrs.frozen
class Truncate:
    """A file cut."""

    path: str
    size: int


@attrs.frozen
class Remove:
    """A name taken out of its folder."""

    path: str


@attrs.frozen
class Sync:
    """Everything that was written to a file before is on the disk.

    Attributes:
        folder: the names in its folder too: SQLite flushes those with the first flush of a file it has created.
    """

    path: str
    folder: bool


@attrs.frozen
class Note:
    """Something that the test has seen meanwhile."""

    text: str


Event = Write | Truncate | Remove | Sync | Note


@attrs.define
class Recording:
    """Everything that happened, in order."""

    events: list[Event] = attrs.field(factory=list)

    def note(self, text: str) -> None:
        """Note what was confirmed by now."""
        self.events.append(Note(text))

    def notes(self, end: int) -> set[str]:
        """What was noted among the first *end* events."""
        return {event.text for event in self.events[:end] if isinstance(event, Note)}

    def disk(self, end: int, survives: Callable[[], bool], torn: Callable[[], bool]) -> dict[str, bytes]:
        """The files as they are found when the power failed after the first *end* events.

        Args:
            survives: asked for each write that was not flushed: whether it reached the disk all the same.
            torn: asked for each of its sectors, if it did: whether just this one did not.
        """
        flushed, names_flushed = self._flushed(end)
        disk: dict[str, bytearray] = {}
        hidden: set[str] = set()  # made anew under a name whose removal did not reach the disk: nothing leads to it
        for place, event in enumerate(self.events[:end]):
            if isinstance(event, (Sync, Note)) or event.path in hidden:
                continue
            if isinstance(event, Remove):
                if place < names_flushed or survives():
                    disk.pop(event.path, None)
                else:
                    hidden.add(event.path)
            elif place < flushed.get(event.path, -1):
                _apply(disk, event, _never)
            elif survives():
                _apply(disk, event, torn)
        return {path: bytes(content) for path, content in disk.items()}

    def _flushed(self, end: int) -> tuple[dict[str, int], int]:
        """The place of the last flush: of each file, and of the names."""
        flushes = [(place, event) for place, event in enumerate(self.events[:end]) if isinstance(event, Sync)]
        names = max((place for place, event in flushes if event.folder), default=-1)
        return {event.path: place for place, event in flushes}, names


def _never() -> bool:
    return False


def _apply(disk: dict[str, bytearray], event: Write | Truncate, torn: Callable[[], bool]) -> None:
    content = disk.setdefault(event.path, bytearray())
    if isinstance(event, Truncate):
        del content[event.size :]
        return
    content.extend(b"\0" * (event.offset + len(event.data) - len(content)))
    if torn is _never:
        content[event.offset : event.offset + len(event.data)] = event.data
        return
    for start in range(0, len(event.data), SECTOR):
        if not torn():
            part = event.data[start : start + SECTOR]
            content[event.offset + start : event.offset + start + len(part)] = part


def cuts(recording: Recording, seed: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Four disks for every prefix of *recording*: nothing unflushed survives, all of it, some, and some of it torn."""
    chance = random.Random(seed)
    for end, event in enumerate(recording.events, start=1):
        if isinstance(event, Note):
            continue  # it does nothing to a disk, and the next event comes after it
        yield end, recording.disk(end, _never, _never)
        yield end, recording.disk(end, lambda: True, _never)
        yield end, recording.disk(end, lambda: chance.random() < 0.5, _never)
        yield end, recording.disk(end, lambda: chance.random() < 0.8, lambda: chance.random() < 0.2)


class _Recorder:
    """The functions that SQLite calls, and everything that must not be forgotten while it may call them."""

    def __init__(self, folder: Path, recording: Recording) -> None:
        import _sqlite3

        self._folder = str(folder)
        self._recording = recording
        self._library = ctypes.CDLL(_sqlite3.__file__)  # its symbols are those of the SQLite that it is linked with
        self._library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        self._library.sqlite3_vfs_find.argtypes = (ctypes.c_char_p,)
        for name in ("sqlite3_vfs_register", "sqlite3_vfs_unregister"):
            getattr(self._library, name).argtypes = (ctypes.POINTER(_Vfs), _I)[: 2 if name.endswith("_register") else 1]
        self._names: dict[int, str] = {}
        self._new: set[str] = set()
        self._methods: dict[int, _Methods] = {}
        self._keep: list[Any] = []
        self._original = self._library.sqlite3_vfs_find(None)
        self._vfs = _Vfs.from_buffer_copy(self._original.contents)
        self._vfs.name = b"recording"
        self._vfs.open = self._pointer(_OPEN, self._open)
        self._vfs.delete = self._pointer(_DELETE, self._delete)

    def _pointer(self, kind: Any, function: Any) -> Any:
        callback = kind(function)
        self._keep.append(callback)
        return ctypes.cast(callback, _P)

    def install(self) -> None:
        self._library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1)

    def remove(self) -> None:
        self._library.sqlite3_vfs_register(self._original, 1)
        self._library.sqlite3_vfs_unregister(ctypes.byref(self._vfs))

    # --- what SQLite calls ---

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        original = self._original.contents
        path = ctypes.string_at(name).decode() if name else ""
        is_new = not Path(path).exists()
        result: int = _OPEN(original.open)(ctypes.addressof(original), name, file, flags, out)
        if result == 0 and path.startswith(self._folder):
            self._names[file] = path
            if is_new:
                self._new.add(path)
            opened = ctypes.cast(file, ctypes.POINTER(_File)).contents
            opened.methods = ctypes.pointer(self._replaced(opened.methods))
        return result

    def _replaced(self, original: Any) -> _Methods:
        address = ctypes.addressof(original.contents)
        if address not in self._methods:
            methods = _Methods.from_buffer_copy(original.contents)
            write, truncate = _WRITE(original.contents.write), _TRUNCATE(original.contents.truncate)
            sync, note = _SYNC(original.contents.sync), self._recording.events.append

            def do_write(file: int, data: int, size: int, offset: int) -> int:
                note(Write(self._names[file], offset, ctypes.string_at(data, size)))
                return int(write(file, data, size, offset))

            def do_truncate(file: int, size: int) -> int:
                note(Truncate(self._names[file], size))
                return int(truncate(file, size))

            def do_sync(file: int, flags: int) -> int:
                result = int(sync(file, flags))
                note(Sync(self._names[file], self._names[file] in self._new))
                self._new.discard(self._names[file])
                return result

            methods.write = self._pointer(_WRITE, do_write)
            methods.truncate = self._pointer(_TRUNCATE, do_truncate)
            methods.sync = self._pointer(_SYNC, do_sync)
            self._methods[address] = methods
        return self._methods[address]

    def _delete(self, vfs: int, name: int, sync: int) -> int:
        original = self._original.contents
        self._recording.events.append(Remove(ctypes.string_at(name).decode()))
        return int(_DELETE(original.delete)(ctypes.addressof(original), name, sync))


@contextlib.contextmanager
def recording(folder: Path) -> Iterator[Recording]:
    """Records what happens to files in *folder*; every connection must be opened and closed inside."""
    recorded = Recording()
    recorder = _Recorder(folder, recorded)
    recorder.install()
    try:
        with _zeros_noted(recorded):
            yield recorded
    finally:
        recorder.remove()


@contextlib.contextmanager
def _zeros_noted(recorded: Recording) -> Iterator[None]:
    write_zeros = room.write_zeros

    def noted(descriptor: int, offset: int, count: int) -> int:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        recorded.events.append(Write(str(path), offset, bytes(count)))
        return write_zeros(descriptor, offset, count)

    with patch.object(room, "write_zeros", noted):
        yield
