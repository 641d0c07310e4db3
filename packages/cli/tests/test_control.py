"""The control socket of a worker: it is found by those who may ask, and answers whatever it is asked."""

import asyncio
import json
import os
import socket
import subprocess
from contextlib import asynccontextmanager, suppress

import pytest

from pulpo_cli import control as module
from pulpo_cli.control import control
from pulpo_cli.control_client import ask_workers
from pulpo_core import Dispatcher, Route


async def nothing(message):
    """A handler."""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Where sockets lie: not in `tmp_path`, whose name may be too long for one."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "pulpo"


@asynccontextmanager
async def worker(name="mail", *, routes=1):
    async with control(Dispatcher([Route(f"memory://{name}{n}", nothing, name=f"{name}{n}") for n in range(routes)])):
        yield


async def asked(place, question):
    async with asyncio.timeout(20):
        reader, writer = await asyncio.open_unix_connection(str(place / f"{os.getpid()}.sock"))
        writer.write(question + b"\n")
        answer = await reader.readline()
        writer.close()
    return json.loads(answer)


async def test_a_worker_tells_what_it_does(place):
    async with worker():
        [answer] = await asyncio.to_thread(ask_workers, "status")

    assert (answer["pid"], answer["phase"]) == (os.getpid(), "starting")
    assert [route["name"] for route in answer["routes"]] == ["mail0"]


async def test_it_does_so_when_its_directory_is_gone(tmp_path, monkeypatch):
    """Deployments remove the release that a worker which still drains was started in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "release").mkdir()
    monkeypatch.chdir("release")
    (tmp_path / "release").rmdir()
    async with worker():
        [answer] = await asyncio.to_thread(ask_workers, "status")

    assert answer["directory"] is None


QUESTIONS = {
    "no JSON": b"status",
    "no object": b"[]",
    "nothing to do": b"{}",
    "something else to do": b'{"do": "dance"}',
    "to do what is no word": b'{"do": []}',
    "what is nested beyond reason": b"[" * 4000,
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
async def test_what_it_does_not_understand_is_answered(place, question):
    async with worker():
        answer = await asked(place, question)

    assert not answer["ok"]
    assert answer["error"] == "expected a line of JSON whose 'do' is one of status, pause, resume"


async def test_a_client_that_does_not_take_its_answer_is_hung_up_on(place, monkeypatch):
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    async with worker("x" * 200, routes=3_000):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(place / f"{os.getpid()}.sock"))
            client.sendall(b'{"do": "status"}\n')
            await asyncio.sleep(1)
            answer = await asyncio.to_thread(everything, client)

    assert answer
    assert not answer.endswith(b"\n")


def everything(client):
    """What there is until the other side has hung up."""
    parts = []
    with suppress(ConnectionResetError):
        while part := client.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


async def test_the_socket_of_a_worker_that_was_killed_is_removed_by_who_asks(place):
    place.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place / f"{ended()}.sock"))

    assert await asyncio.to_thread(ask_workers, "status") == []
    assert not list(place.iterdir())


def ended():
    """The number of a process that is gone."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_that_of_a_worker_which_is_about_to_listen_is_left_alone(place):
    """Nobody listens yet: without its socket that worker would never be found."""
    place.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as early:
        early.bind(str(place / f"{os.getpid()}.sock"))

        assert await asyncio.to_thread(ask_workers, "status") == []
        early.listen()
        assert [path.name for path in place.iterdir()] == [f"{os.getpid()}.sock"]


async def test_it_is_gone_when_the_worker_has_ended(place):
    async with worker():
        assert [path.name for path in place.iterdir()] == [f"{os.getpid()}.sock"]

    assert not list(place.iterdir())
