"""Where a queue file can be, and who may open what lies beside it."""

import asyncio
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter, store
from pulpo_adapter_file.filesystem import Folder, check_is_local, mounted_as
from pulpo_adapter_file.header import Identity, identity_if_there
from pulpo_core import ConfigurationError, Envelope, Queue, QueueNotFound, SystemClock, SystemJitter

from .conftest import Opener
from .stage import until


def open_to_the_group(path: Path) -> None:
    path.chmod(0o660)
    path.with_name("shop.db.lock").unlink()


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names_beside(path: Path) -> set[str]:
    return {found.name for found in path.parent.iterdir()}


def link_to(path: Path) -> Path:
    link = path.with_name("link.db")
    link.symlink_to(path)
    return link


MOUNTS = r"""sysfs /sys sysfs rw 0 0
/dev/vda1 / ext4 rw 0 0
server:/export /srv/shared nfs4 rw 0 0
/dev/vdb1 /srv/shared/local ext4 rw 0 0
host /srv/from\040host virtiofs rw 0 0
half a line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/spool/shop.db", "ext4"),
        ("/srv/shared/shop.db", "nfs4"),
        ("/srv/shared/local/shop.db", "ext4"),
        ("/srv/sharedother/shop.db", "ext4"),
        ("/srv/from host/shop.db", "virtiofs"),
    ],
)
def test_the_deepest_mount_holds_the_file(path: str, kind: str) -> None:
    assert mounted_as(Path(path), MOUNTS) == kind


def test_what_was_mounted_last_hides_what_was_there() -> None:
    assert mounted_as(Path("/srv/a"), MOUNTS + "other:/ /srv nfs rw 0 0\n/dev/vdc /srv xfs rw 0 0") == "xfs"


def test_a_network_file_system_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"network file system \(nfs4\)"):
        check_is_local(Path("/srv/shared/shop.db"), MOUNTS)


def test_a_file_system_of_which_nobody_knows_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_is_local(Path("/srv/from host/shop.db"), MOUNTS)

    assert "virtiofs" in caplog.text


def test_a_local_disk_is_not_worth_a_word(caplog: pytest.LogCaptureFixture) -> None:
    check_is_local(Path("/var/spool/shop.db"), MOUNTS)

    assert not caplog.records


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(QueueNotFound, match=f"no directory {tmp_path}/no-such-folder"):
        async with FileAdapter().open(
            f"file://{tmp_path}/no-such-folder/shop.db", clock=SystemClock(), jitter=SystemJitter()
        ):
            pass


async def test_a_folder_is_not_a_queue_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory"):
        async with FileAdapter().open(f"file://{tmp_path}", clock=SystemClock(), jitter=SystemJitter()):
            pass


async def test_looking_creates_nothing(opened: Opener, path: Path) -> None:
    queue = await opened()

    with pytest.raises(QueueNotFound, match="there is no queue file"):
        await queue.stats()

    assert not list(path.parent.iterdir())


async def test_a_mistyped_queue_is_told_what_there_is(opened: Opener) -> None:
    await (await opened("queue=orders")).publish([Envelope(body=b"{}")])

    with pytest.raises(QueueNotFound, match="it holds: orders"):
        await (await opened("queue=ordres")).stats()


async def test_only_the_owner_can_open_what_was_created(opened: Opener, path: Path) -> None:
    before = os.umask(0)
    try:
        queue = await opened()
        await queue.publish([Envelope(body=b"{}")])
    finally:
        os.umask(before)

    modes = {found.name: mode_of(found) for found in path.parent.iterdir()}
    assert modes == {"shop.db": 0o600, "shop.db-wal": 0o600, "shop.db-shm": 0o600, "shop.db.lock": 0o600}


async def test_who_may_use_the_file_may_use_what_lies_beside_it(opened: Opener, path: Path) -> None:
    await FileAdapter().create(f"file://{path}", {})
    open_to_the_group(path)

    queue = await opened()
    await queue.publish([Envelope(body=b"{}")])

    assert mode_of(path.with_name("shop.db.lock")) == 0o660


async def test_a_link_leads_to_the_file(opened: Opener, path: Path, tmp_path: Path) -> None:
    link = link_to(path)
    await (await opened()).publish([Envelope(body=b"{}")])

    adapter = FileAdapter()
    async with adapter.open(f"file://{link}?queue=orders", clock=SystemClock(), jitter=SystemJitter()) as queue:
        assert (await queue.stats()).ready == 1

    assert "link.db-wal" not in names_beside(link)
    assert "link.db.lock" not in names_beside(link)


def add(folder: Path) -> None:
    (folder / "new").touch()


def take_away(folder: Path) -> None:
    (folder / "file").unlink()


def put_another_in_its_place(folder: Path) -> None:
    (folder / "other").rename(folder / "file")


def restore_with_its_times(folder: Path) -> None:
    found = folder.stat()
    put_another_in_its_place(folder)
    os.utime(folder, ns=(found.st_atime_ns, found.st_mtime_ns))


async def trusted(path: Path) -> Folder:
    """A folder whose names were looked at, long enough after they were last changed."""
    for name in ("file", "other"):
        (path / name).write_text(name)
    folder = Folder(path)

    def is_trusted() -> bool:
        as_seen = folder.is_as_seen()
        folder.note_seen()
        return as_seen

    await until(is_trusted)
    return folder


@pytest.mark.parametrize("change", [add, take_away, put_another_in_its_place, restore_with_its_times])
async def test_a_folder_notices_whatever_happens_to_its_names(tmp_path: Path, change: Callable[[Path], None]) -> None:
    folder = await trusted(tmp_path)

    change(tmp_path)

    assert not folder.is_as_seen()


async def test_a_folder_is_as_seen_whatever_is_written_to_its_files(tmp_path: Path) -> None:
    folder = await trusted(tmp_path)

    (tmp_path / "file").write_text("longer than it was")

    assert folder.is_as_seen()


def test_a_folder_that_has_just_changed_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next change may come within the same tick of a coarse clock."""
    monkeypatch.setattr("pulpo_adapter_file.filesystem._TICK", 10**15)
    folder = Folder(tmp_path)

    seen = []
    for _ in range(3):
        seen.append(folder.is_as_seen())
        folder.note_seen()

    assert seen == [False] * 3


def remove_log(path: Path) -> None:
    path.with_name("shop.db-wal").unlink()


def replace_log(path: Path) -> None:
    log = path.with_name("shop.db-wal")
    other = path.with_name("other-wal")
    other.write_bytes(log.read_bytes())
    other.rename(log)


async def publish_until_trusted(queue: Queue, asked: list[str]) -> None:
    """Publish until a publish asks nothing about the log any more."""
    asked.append("")
    async with asyncio.timeout(20):
        while asked:
            asked.clear()
            await queue.publish([Envelope(body=b"{}")])


@pytest.mark.parametrize("fault", [remove_log, replace_log])
async def test_a_log_is_asked_about_only_when_names_have_changed_and_then_it_is(
    path: Path, fault: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for the times of a file that is written makes the next write dearer."""
    asked: list[str] = []

    def ask(name: str) -> Identity | None:
        asked.append(name)
        return identity_if_there(name)

    monkeypatch.setattr(store, "identity_if_there", ask)
    async with FileAdapter().open(f"file://{path}", clock=SystemClock(), jitter=SystemJitter()) as queue:
        await publish_until_trusted(queue, asked)
        fault(path)

        with pytest.raises(ConfigurationError, match="-wal file was removed"):
            await queue.publish([Envelope(body=b"{}")])
