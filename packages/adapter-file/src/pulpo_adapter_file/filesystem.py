"""What the file system under a queue must and must not be, and who may open the files beside it."""

from __future__ import annotations

import logging
import os
import stat
import time
from pathlib import Path
from typing import Final

from pulpo_core import ConfigurationError, PermissionDenied, QueueNotFound

_log: Final = logging.getLogger("pulpo.adapter.file")

#: Shared between hosts: locks there lie or cost seconds, and shared memory is not shared at all.
NETWORK: Final = frozenset({
    "acfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.davfs",
    "fuse.gcsfuse", "fuse.glusterfs", "fuse.juicefs", "fuse.mfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gfs2",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb2", "smb3", "smbfs",
})  # fmt: skip

#: Local or not, nobody can tell from here: hosts share them with virtual machines and containers.
DOUBTFUL: Final = frozenset({"9p", "drvfs", "fuseblk", "vboxsf", "virtiofs", "vmhgfs", "fuse.vmhgfs-fuse"})

_MOUNTS: Final = Path("/proc/self/mounts")  # elsewhere than on Linux it is not there, and nothing is checked

_ESCAPES: Final = {r"\040": " ", r"\011": "\t", r"\012": "\n", r"\134": "\\"}


def mounted_as(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds *path*, by the text of a mount table; `None` if it does not say."""
    best, kind = -1, None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _unescaped(fields[1])
        if path.is_relative_to(point) and len(point) >= best:  # what is mounted later hides what was there
            best, kind = len(point), fields[2]
    return kind


def _unescaped(field: str) -> str:
    for code, sign in _ESCAPES.items():
        field = field.replace(code, sign)
    return field


def mount_of(path: Path) -> str | None:
    """The type of the file system that holds *path*; `None` where this system does not tell."""
    try:
        return mounted_as(path.parent.resolve(), _MOUNTS.read_text())
    except OSError:
        return None


def check_is_local(path: Path, mounts: str | None = None) -> None:
    """Refuse a file system that several hosts share, and warn of one that may be shared.

    Raises:
        ConfigurationError: it is a network file system.
    """
    try:
        text = _MOUNTS.read_text() if mounts is None else mounts
    except OSError:
        return
    kind = mounted_as(path.parent.resolve(), text)
    if kind in NETWORK:
        raise ConfigurationError(
            f"queue file {path} lies on a network file system ({kind}), where locks cannot be trusted; "
            "use a local disk, or a queue with a server"
        )
    if kind in DOUBTFUL or (kind or "").startswith("fuse."):
        _log.warning("queue file %s lies on %s: use it from one host only, or messages may be lost", path, kind)


def check_place(path: Path) -> None:
    """Refuse a path where no queue file can be.

    Raises:
        QueueNotFound: the directory is not there.
        ConfigurationError: it is not a directory, or *path* itself is one.
        PermissionDenied: nothing can be written there.
    """
    parent = path.parent
    try:
        if not parent.exists():
            raise QueueNotFound(f"queue file {path}: there is no directory {parent}; create it first")
        if not parent.is_dir():
            raise ConfigurationError(f"queue file {path}: {parent} is not a directory")
        if path.is_dir():
            raise ConfigurationError(
                f"queue file {path} is a directory; name a file in it, or import a directory of pulpo-messaging "
                "with `pulpo import-legacy`"
            )
    except PermissionError as error:
        raise PermissionDenied(f"queue file {path}: access to {parent} is denied") from error
    if not os.access(parent, os.W_OK | os.X_OK):
        raise PermissionDenied(f"queue file {path}: the directory {parent} must be writable, for the files beside it")


#: Nanoseconds; ten times what the coarsest clock of a local file system has.
_TICK: Final = 100_000_000


class Folder:
    """Tells whether the names in a directory may mean something else than when they were last looked at.

    One question about the directory stands for one about each file in it. And it spares the files
    that are written all the time: where a file system tells times finely, whoever asks for those of
    a file makes its next write note them, which costs a flush of the log a fifth more.
    """

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        self._now = self._seen = (0, 0, 0)

    def is_as_seen(self) -> bool:
        """Whether no name has come, gone or changed since `note_seen`.

        Raises:
            FileNotFoundError: the directory is not there.
        """
        found = os.stat(self._name)  # noqa: PTH116 - half the time of Path.stat, and asked for every transaction
        self._now = (found.st_dev, found.st_ino, found.st_ctime_ns)  # the time of change, which nobody can set
        return self._now == self._seen

    def note_seen(self) -> None:
        """The names were looked at after the last `is_as_seen`."""
        # Two changes within one tick of the file system's clock look like one: what is new is not trusted yet.
        self._seen = self._now if time.time_ns() - self._now[2] > _TICK else (0, 0, 0)


def create_owner_only(path: Path) -> None:
    """Make an empty file that nobody but its owner can open.

    Raises:
        FileExistsError: there is one already.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def sync_directory(path: Path) -> None:
    """Let the names in the directory *path* survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_zeros(descriptor: int, offset: int, count: int) -> int:
    """Write *count* zeros at *offset*, or as many as there is room for; how many were."""
    try:
        return os.pwrite(descriptor, bytes(count), offset)
    except OSError:
        return 0


def companion_mode(path: Path, *, directory: bool = False) -> int:
    """The permissions for a file beside *path*: who may use the queue may use what it needs."""
    mode = stat.S_IMODE(path.stat().st_mode) & 0o666 if path.exists() else 0o600
    return mode | ((mode & 0o444) >> 2) if directory else mode


def give_to_owner(companion: Path, path: Path) -> None:
    """Let *companion*, just made, belong to whom *path* belongs to, where we may say so.

    Without this a look as root would lock the owner of the queue out.
    """
    if os.geteuid() == 0 and path.exists():
        owner = path.stat()
        os.chown(companion, owner.st_uid, owner.st_gid)
