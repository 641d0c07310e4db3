"""At a terminal and elsewhere: questions, colour and progress are for people."""

import json
import os
import pty
import subprocess
from signal import SIGINT

from tests.servers import BeanstalkdServer

from .conftest import PULPO, Shop, wait_until


def at_terminal(shop: Shop, *arguments: str, types: str = "") -> tuple[int, str]:
    """Run `pulpo` as a person sees it, who types *types*; the status and everything on the screen."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [PULPO, *arguments],
        cwd=shop.folder,
        env={**os.environ, "PULPO_QUEUE": shop.url, "TERM": "xterm-256color", "COLUMNS": "100"},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    ) as process:
        os.close(slave)
        os.write(master, types.encode())
        seen = b""
        try:
            while chunk := os.read(master, 65536):
                seen += chunk
        except OSError:  # that is how a terminal ends
            pass
    os.close(master)
    return process.returncode, seen.decode(errors="replace")


def test_what_cannot_be_undone_is_asked_about(shop: Shop) -> None:
    shop.pulpo("publish", "-q", "--payload", "x", "--count", "3")

    status, screen = at_terminal(shop, "purge", "--state", "ready", types="n\n")
    assert (status, shop.counts()["ready"]) == (1, 3)
    assert f"Remove 3 messages (ready) of {shop.url}? [y/N]" in screen

    status, screen = at_terminal(shop, "purge", "--state", "ready", types="y\n")
    assert (status, shop.counts()["ready"]) == (0, 0)
    assert "removed 3 messages" in screen


def test_whatever_changes_a_queue_names_it_and_asks_how_many_are_meant(shop: Shop) -> None:
    shop.pulpo("publish", "-q", "--payload", "x", "--count", "3")
    other = f"file://{shop.folder}/other.db"

    status, screen = at_terminal(shop, "move", "--to", other, types="n\n")
    assert (status, shop.counts()["ready"]) == (1, 3)
    assert "Move 3 ready messages of" in screen
    assert "nothing was moved" in screen
    status, screen = at_terminal(shop, "delete", "1", types="y\n")
    assert (status, shop.counts()["ready"]) == (0, 2)
    assert "Remove 1 message of" in screen


def test_a_long_publish_shows_how_far_it_is_and_keeps_its_ids_whole(shop: Shop) -> None:
    status, screen = at_terminal(shop, "publish", "--payload", "x", "--count", "5000")

    assert status == 0
    assert "publishing" in screen
    assert "/5000" in screen
    lines = {line.strip() for line in screen.replace("\r", "\n").splitlines()}
    ids = {line.removeprefix("\x1b[2K") for line in lines}
    assert {"1", "2500", "5000"} <= ids


def test_elsewhere_there_is_neither_colour_nor_progress_and_nothing_is_cut(shop: Shop) -> None:
    shop.write(f"def bad(): raise RuntimeError('{'long ' * 60}end')\n")

    published = shop.pulpo("publish", "--payload", "x", "--count", "1500")
    worked = shop.pulpo("run", "--handler", "jobs:bad", "--max-attempts", "1", "--burst", "-v")
    listed = shop.pulpo("buried", "list", "--limit", "2")

    for outcome in (published, worked, listed):
        assert "\x1b" not in outcome.out + outcome.err
    assert len(published.out.split()) == 1500
    assert len(listed.out.splitlines()) == 4


def test_a_stream_that_knows_no_dash_gets_no_error(shop: Shop) -> None:
    shop.pulpo("publish", "--payload", "grün – 漢字")

    outcome = shop.pulpo("peek", PYTHONIOENCODING="ascii")

    assert outcome.status == 0
    assert "gr\\xfcn \\u2013" in outcome.out
    assert shop.pulpo("peek", "--json", PYTHONIOENCODING="ascii").json["body"] == {"payload": "grün – 漢字"}


def test_watching_goes_on_while_the_broker_is_away(shop: Shop) -> None:
    with BeanstalkdServer() as server:
        url = server.url("watched")
        with shop.start("stats", "--queue", url, "--watch", "--interval", "50ms", "--json") as running:
            wait_until(lambda: '"ready": 0' in running.out, "it has looked")
            server.kill()
            wait_until(lambda: '"error"' in running.out, "it has found nobody")
            server.start()
            wait_until(lambda: '"ready"' in running.out.splitlines()[-1], "it has looked again")
            running.signal(SIGINT)
            assert running.end().status == 0


def test_watching_goes_on_until_it_is_interrupted(shop: Shop) -> None:
    shop.pulpo("publish", "--payload", "x")

    with shop.start("stats", "--watch", "--interval", "20ms", "--json") as running:
        wait_until(lambda: running.out.count("\n") >= 3, "it has looked three times")
        running.signal(SIGINT)
        outcome = running.end()

    assert (outcome.status, outcome.err) == (0, "")
    assert {json.loads(line)["ready"] for line in outcome.out.splitlines()} == {1}
