"""A million messages wait: neither those who publish nor those who handle them need more memory for that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import BeanstalkdServer
from tests.soak import scaled

BACKLOG = Path(__file__).with_name("backlog.py")

MILLION = 1_000_000

#: MiB by which a process may grow between the first tenth and the last: buffers and caches fill up, and then no more.
GROWTH = 32.0


def done(what, url, number):
    """Have it done by another process; what that says."""
    command = [sys.executable, str(BACKLOG), what, url, str(number)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def check_backlog(name, url, number):
    published, consumed = done("publish", url, number), done("consume", url, number)
    print(f"\n{name}, a backlog of {number:,}")
    for what, told in (("published", published), ("handled", consumed)):
        print(f"{what:<10} MiB  " + "".join(f"{each:>8}" for each in told["memory"]))
        print(f"{'':<10} s    " + "".join(f"{each:>8}" for each in told["seconds"]))

    assert published["confirmed"] == number
    assert (consumed["missing"], consumed["again"]) == (0, 0)
    for told in (published, consumed):
        assert max(told["memory"]) - told["memory"][0] < GROWTH, told


def long_backlog():
    """A million in the usual time, and fewer when there is less."""
    return min(MILLION, scaled(MILLION))


def test_a_backlog_of_twenty_thousand_in_a_file(tmp_path):
    check_backlog("file", f"file://{tmp_path / 'queue.db'}", 20_000)


@pytest.mark.soak
def test_a_million_messages_wait_in_a_file(tmp_path):
    check_backlog("file", f"file://{tmp_path / 'queue.db'}", long_backlog())


@pytest.mark.soak
def test_a_million_messages_wait_at_beanstalkd(tmp_path):
    with BeanstalkdServer(binlog=tmp_path / "log") as server:
        check_backlog("beanstalkd", server.url("backlog?ttr=60s"), long_backlog())
