"""`pulpo demo`, killed, interrupted and resumed to its end, and the lines that it prints at the end."""

import json
import re
import subprocess
from signal import SIGINT, SIGKILL

import pytest

from .conftest import PULPO, Running, Shop, wait_until


def counted(shop: Shop) -> int:
    """How many files some demo in this folder has counted so far."""
    books = list(shop.folder.glob("pulpo-demo-*/counted.ndjson"))
    return sum(book.read_bytes().count(b"\n") for book in books)


@pytest.mark.timeout(120)
def test_a_demo_is_killed_interrupted_and_comes_to_its_end_with_nothing_lost(shop: Shop) -> None:
    with shop.start("demo") as running:
        wait_until(lambda: counted(shop) > 100, "a hundred files")
        running.signal(SIGKILL)
        running.end()
    [folder] = shop.folder.glob("pulpo-demo-*")

    with shop.start("demo", "--resume", str(folder)) as running:
        stopped = interrupted_after(shop, running, counted(shop) + 100)
    assert stopped.status == 0
    assert "nothing is lost" in stopped.err
    go_on = re.search(r"^  (\S*pulpo demo --resume \S+)$", stopped.err, re.MULTILINE)
    assert go_on is not None

    ended = subprocess.run(f"{go_on[1]} --json", shell=True, capture_output=True, text=True, check=False, timeout=100)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert result["adds_up"] is True
    assert result["left"] == 0
    assert result["files"] > 300
    assert result["files"] == result["counted"] + result["buried"]
    assert result["buried"] >= 3
    assert result["total"]["lines"] > 100_000
    assert result["ledger"]["lease_lost"] == 0
    check_what_it_prints(shop, str(folder))


def interrupted_after(shop: Shop, running: Running, files: int) -> object:
    wait_until(lambda: counted(shop) > files, "some more files")
    running.signal(SIGINT)
    return running.end()


def check_what_it_prints(shop: Shop, folder: str) -> None:
    """Every line that the demo prints for its user works as it is printed."""
    told = shop.pulpo("demo", "--resume", folder)
    assert told.status == 0
    assert "not_utf8.py" in told.out or "more" in told.out
    printed = re.findall(rf"^  ((?:{re.escape(PULPO)}|pulpo) .*)$", told.err, re.MULTILINE)
    looks = [line for line in printed if "buried list" in line or "buried show" in line]
    assert len(looks) == 2
    for line in looks:
        done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False, timeout=50)
        assert done.returncode == 0, line
        assert "not-python" in done.stdout
