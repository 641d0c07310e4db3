"""Where a queue file can be, and who may open what lies beside it."""

import logging
import os
import stat
from pathlib import Path

import pytest

from pulpo_adapter_file import FileAdapter
from pulpo_adapter_file.filesystem import check_is_local, mounted_as
from pulpo_core import ConfigurationError, Envelope, QueueNotFound, SystemClock, SystemJitter

from .conftest import Opener


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
