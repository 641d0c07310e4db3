"""A worker as those see it who watch it: probes, scrapes and log collectors."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import socket
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request
from signal import SIGTERM

import pytest

from tests.servers import free_port
from tests.sqs_server import SqsServer

from .conftest import JOURNAL, PULPO, Running, Shop, wait_until

SLOW = JOURNAL + (
    "async def note(payload):\n"
    "    write('begun')\n"
    "    while not Path(__file__).with_name('enough').exists():\n"
    "        await asyncio.sleep(0.02)\n"
    "    write('done')\n"
)


def ask(running: Running, path: str) -> tuple[int, str]:
    """The status and the text of *path* at the health port that *running* has told on stderr."""
    wait_until(lambda: "http://" in running.err, "the health port is open")
    found = re.search(r"http://127\.0\.0\.1:\d+", running.err)
    assert found
    try:
        with urllib.request.urlopen(found.group() + path, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_readiness_drops_at_the_signal_and_metrics_tell_what_was_done(shop: Shop) -> None:
    shop.write(SLOW)
    shop.pulpo("publish", "-q", "--type", "note", "--payload", "secret-word", "--count", "2")
    shop.pulpo("publish", "-q", "--type", "note", "--payload", "later", "--delay", "1h", "--count", "3")

    with shop.start("run", "--handler", "note=jobs:note", "--concurrency", "1", "--health-port", "0") as running:
        wait_until(lambda: shop.journal == ["begun"], "the first message is in hand")
        ready = ask(running, "/readyz")
        alive = ask(running, "/livez")
        wait_until(lambda: "pulpo_queue_depth{" in ask(running, "/metrics")[1], "the queue was counted")
        metrics = ask(running, "/metrics")
        running.signal(SIGTERM)
        wait_until(lambda: ask(running, "/readyz")[0] == 503, "not ready any more")
        draining = ask(running, "/readyz")
        alive_still = ask(running, "/livez")
        (shop.folder / "enough").touch()
        outcome = running.end()

    assert (ready[0], alive[0], alive_still[0], outcome.status) == (200, 200, 200, 0)
    assert json.loads(draining[1])["phase"] == "draining"
    queue = f"file://{shop.folder}/shop.db?queue=mail"
    assert f'pulpo_in_flight{{queue="{queue}"}} 1.0' in metrics[1]
    assert f'pulpo_queue_depth{{queue="{queue}",state="delayed"}} 3.0' in metrics[1]
    counted = [f'pulpo_queue_depth{{queue="{queue}",state="ready"}} {ready:.1f}' in metrics[1] for ready in (1, 2)]
    assert any(counted), "when the queues were open, which was shortly before or after the first message was taken"
    assert f'pulpo_messages_total{{outcome="acked",queue="{queue}",type="note"}} 0.0' in metrics[1]
    assert "process_cpu_seconds_total" in metrics[1], "the application's own registry is there too"
    assert shop.journal == ["begun", "done"]
    assert "secret-word" not in metrics[1] + running.err


def test_a_log_for_machines_has_one_object_for_each_settled_message_and_no_body(shop: Shop) -> None:
    shop.write(
        JOURNAL + "def note(payload):\n    pass\ndef bad(payload):\n    raise RuntimeError('the server is down')\n"
    )
    shop.pulpo("publish", "-q", "--type", "note", "--payload", "secret-word")
    shop.pulpo("publish", "-q", "--type", "bad", "--payload", "secret-word")

    outcome = shop.pulpo(
        *("run", "--handler", "note=jobs:note", "--handler", "bad=jobs:bad", "--max-attempts", "1", "--burst"),
        *("--log-format", "json", "--log-level", "info"),
    )

    settled = {line["type"]: line for line in map(json.loads, outcome.err.splitlines()) if "settlement" in line}
    assert set(settled) == {"note", "bad"}
    bad = settled["bad"]
    assert (bad["queue"], bad["id"], bad["attempt"]) == (f"file://{shop.folder}/shop.db?queue=mail", "2", 1)
    assert (bad["settlement"], bad["reason"]) == ("buried", "attempts-exhausted")
    assert bad["error"] == "RuntimeError: the server is down"
    assert bad["level"] == "info"
    assert 0 <= bad["duration_ms"] <= bad["elapsed_ms"]
    assert settled["note"]["settlement"] == "acked"
    assert "secret-word" not in outcome.err


@pytest.mark.parametrize(("level", "shown"), [("error", False), ("warning", False), ("info", True), ("debug", True)])
def test_the_level_of_the_log_can_be_named(shop: Shop, level: str, shown: bool) -> None:
    shop.write("def note(payload): pass")
    shop.pulpo("publish", "-q", "--payload", "x")

    outcome = shop.pulpo("run", "--handler", "jobs:note", "--burst", "--log-level", level)

    assert ("acked (handled)" in outcome.err) is shown


def test_each_of_several_processes_has_a_port_of_its_own(shop: Shop) -> None:
    shop.write("def note(payload): pass")
    port = two_free_ports()

    with shop.start("run", "--handler", "jobs:note", "--processes", "2", "--health-port", str(port)) as running:
        for each in (port, port + 1):
            wait_until(lambda each=each: f"http://127.0.0.1:{each}" in running.err, f"port {each} is open")
            with urllib.request.urlopen(f"http://127.0.0.1:{each}/livez", timeout=20) as answer:
                assert answer.status == 200
        running.signal(SIGTERM)
        assert running.end().status == 0


def two_free_ports() -> int:
    """The first of two ports in a row that nobody listens at."""
    while True:
        port = free_port()
        with socket.socket() as second, contextlib.suppress(OSError):
            second.bind(("127.0.0.1", port + 1))
            return port


def test_a_health_port_that_is_taken_is_told_in_one_line(shop: Shop) -> None:
    shop.write("def note(payload): pass")
    with shop.start("run", "--handler", "jobs:note", "--health-port", "0") as running:
        wait_until(lambda: "http://" in running.err, "the health port is open")
        port = running.err.split("http://127.0.0.1:")[1].split()[0]
        outcome = shop.pulpo("run", "-q", "--handler", "jobs:note", "--health-port", port)

    assert outcome.status == 2
    assert outcome.complaint.startswith(f"pulpo: health port {port} on 127.0.0.1: ")


def _everything_said_until_it_ends(terminal: int) -> bytes:
    """What comes to *terminal*, while its key is pressed again and again: one pressed early may fall to the floor."""
    seen, pressed = b"", 0.0
    with contextlib.suppress(OSError):  # that is how a terminal ends
        while True:
            if select.select([terminal], [], [], 0.5)[0]:
                seen += os.read(terminal, 65536)
            if b"\x1b[?1049h" in seen and time.monotonic() - pressed > 1:
                os.write(terminal, b"q")
                pressed = time.monotonic()
    return seen


def test_top_takes_the_terminal_and_gives_it_back(shop: Shop) -> None:
    shop.pulpo("publish", "-q", "--type", "note", "--payload", "secret-word")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    environment = {**os.environ, "PULPO_QUEUE": shop.url, "TERM": "xterm-256color"}
    with subprocess.Popen(
        [PULPO, "top"], cwd=shop.folder, env=environment, stdin=slave, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        try:
            seen = _everything_said_until_it_ends(master)
        finally:
            process.kill()  # without effect once it has ended
    os.close(master)

    assert process.returncode == 0
    assert b"\x1b[?1049h" in seen, "it has a screen of its own"
    assert b"\x1b[?1049l" in seen, "and leaves it"
    assert b"secret-word" not in seen


def test_looking_at_sqs_receives_nothing(shop: Shop, own_sqs_server: SqsServer, aws_credentials: None) -> None:
    for name in ("watched-buried", "watched"):
        own_sqs_server.create(name)
    url = f"sqs://watched?endpoint_url={own_sqs_server.url}"
    shop.pulpo("publish", "--queue", url, "--payload", "x", "--count", "3")
    own_sqs_server.requests.clear()

    counted = shop.pulpo("stats", "--queue", url, "--json").json
    picture = shop.pulpo("top", "--queue", url, "--interval", "50ms", "--screenshot", "top.svg")

    assert counted["ready"] == 3
    assert picture.status == 0
    assert "receive" in (shop.folder / "top.svg").read_text(), "it says why it lists no burials"
    assert own_sqs_server.requests["GetQueueAttributes"] > 0
    assert own_sqs_server.requests["ReceiveMessage"] == 0


TRACED = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from pulpo_core import Dispatcher, Route

provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
trace.set_tracer_provider(provider)

def note(payload): pass

dispatcher = Dispatcher(Route("memory://x", note))
"""


def test_a_run_is_traced_where_that_is_wanted(shop: Shop) -> None:
    shop.write(TRACED)
    shop.pulpo("publish", "-q", "--type", "note", "--payload", "secret-word")

    outcome = shop.pulpo("run", "--handler", "note=jobs:note", "--burst", "--traces")

    assert outcome.status == 0
    assert outcome.json["name"] == "process mail"
    assert outcome.json["attributes"]["pulpo.settlement"] == "acked"
    assert "secret-word" not in outcome.out


def test_an_application_that_is_a_dispatcher_traces_for_itself(shop: Shop) -> None:
    shop.write(TRACED)

    outcome = shop.pulpo("run", "jobs:dispatcher", "--traces")

    assert outcome.status == 2
    assert "--traces: jobs:dispatcher is a Dispatcher" in outcome.complaint
