"""What must not be seen is not seen: canaries in bodies, headers, URLs, files and the environment."""

import ast
import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from tests.servers import ROOT, free_port

from .conftest import Shop, wait_until
from .test_everywhere import AWS, KINDS, Desk, url_of

#: In everything planted, and in nothing that is printed.
CANARY = "canary"

JOBS = """
import attrs
from pathlib import Path

@attrs.frozen
class Card:
    number: int

def charge(body):
    held = body["number"]  # a local variable of every traceback
    raise LookupError("no such customer")

def typed(card: Card):
    raise AssertionError("such a body does not fit")

def fine(payload):
    (Path(__file__).parent / "journal").open("a").write("handled\\n")
"""

ENVIRONMENT = {**AWS, "PULPO_TEST_PASSWORD": f"{CANARY}-of-a-variable", "DATABASE_URL": f"db://u:{CANARY}@h/d"}
HANDLERS = ("--handler", "charge=jobs:charge", "--handler", "typed=jobs:typed", "--handler", "fine=jobs:fine")


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, shop: Shop) -> Desk:
    """A queue of each kind, with canaries in what is published, in files and in the environment."""
    shop.write(JOBS)
    desk = Desk(request.param, shop, url_of(request.param, shop, request))
    secret = f'"header": {{"token": "{CANARY}-of-a-header"}}, "body": {{"number": "{CANARY}-of-a-body"}}'
    jobs = [f'{{"type": "{request_type}", {secret}}}' for request_type in ("charge", "typed", "fine", "unheard-of")]
    published = desk("publish", "-vv", "--from-file", "-", stdin="\n".join([*jobs, f'{{"to": "{CANARY}"}}', CANARY]))
    assert (published.status, CANARY in published.out + published.err) == (1, False)  # for the last two lines
    return desk


def silent(desk: Desk, *arguments: str, status: int = 0) -> str:
    """Run a command that has nothing to tell of what is secret."""
    outcome = desk.shop.pulpo(*arguments, PULPO_QUEUE=desk.url, **ENVIRONMENT)
    assert outcome.status == status, (arguments, outcome)
    assert CANARY not in outcome.out + outcome.err, arguments
    return outcome.out + outcome.err


def test_neither_logs_nor_tracebacks_nor_tables_tell_a_body_or_a_header(desk: Desk) -> None:
    limits = ("--max-attempts", "1", "--max-messages", "4", "--log-level", "debug")
    said = silent(desk, "run", *HANDLERS, *limits, "-vv", "--log-format", "json" if desk.kind == "file" else "console")
    assert "no such customer" in said

    silent(desk, "buried", "list", "-vv")
    silent(desk, "doctor", "--queue", desk.url, *HANDLERS, "-vv")
    silent(desk, "buried", "kick", "--all", "--yes", "-vv")


def test_settings_that_are_secret_are_masked_everywhere(shop: Shop) -> None:
    (shop.folder / "pulpo.toml").write_text(
        f'[pulpo]\nqueue = "{shop.url}"\n[pulpo.environment]\nSMTP_PASSWORD = "{CANARY}-of-a-file"\n'
        '[pulpo.routes.mail]\nhandlers.fine = "jobs:fine"\n'
    )
    (shop.folder / "pulpo.toml").chmod(0o644)
    (shop.folder / ".env").write_text(f"API_TOKEN={CANARY}-of-dotenv\n")
    shop.write(JOBS)
    desk = Desk("file", shop, shop.url)

    for command in (["config", "show", "--origin"], ["config", "show", "--json"]):
        silent(desk, *command, "-vv")
    said = silent(desk, "doctor", "-vv")
    assert "everybody" in said
    silent(desk, "explain", "-vv")
    silent(desk, "run", "--burst", "-vv")


@pytest.mark.parametrize(
    "url",
    [
        f"sqs://user:{CANARY}@mail",
        f"sqs://mail?endpoint_url=https://{CANARY}@host",
        f"sqs://mail?secret_key={CANARY}",
        f"beanstalkd://u:{CANARY}@127.0.0.1/mail",
        f"file://u:{CANARY}@localhost/q.db",
        f"file:///q.db?password={CANARY}",
    ],
)
def test_a_secret_in_a_url_is_refused_without_being_quoted(shop: Shop, url: str) -> None:
    shop.write(JOBS)
    desk = Desk("none", shop, url)

    if url.startswith("sqs"):
        silent(desk, "run", *HANDLERS, "-vv", status=2)
    silent(desk, "doctor", "-vv", status=1)


@pytest.fixture
def told(shop: Shop) -> Iterator[str]:
    """The metrics and the status of a worker that has handled what is secret."""
    shop.write(JOBS)
    port = free_port()
    secret = ("--header", f"token={CANARY}-of-a-header", "--body", f'{{"payload": "{CANARY}-of-a-body"}}')
    shop.pulpo("publish", "--type", "fine", *secret)
    shop.pulpo("publish", "--type", f"{CANARY}-of-a-type", *secret)
    with shop.start("run", *HANDLERS, "--health-port", str(port), "-q") as worker:
        wait_until(lambda: shop.journal, "a message was handled")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            metrics = answer.read().decode()
        yield metrics + shop.pulpo("status", "--json").out
        worker.signal(signal.SIGTERM)
        assert worker.end().status == 0


def test_metrics_and_status_tell_neither_bodies_nor_what_a_producer_invents(told: str) -> None:
    assert "pulpo_" in told
    assert '"routes"' in told
    assert CANARY not in told


TRAP = """
from pathlib import Path
(Path(__file__).parent / "sprung").touch()

class Trap:
    def __init__(self, *arguments): ...
    def __call__(self, *arguments): ...
"""

HOSTILE_TYPES = [
    "trap:Trap",
    "trap.Trap",
    "trap",
    "os:system",
    "builtins.eval",
    "__import__('trap')",
    "../trap",
    "jobs:fine",
    "__class__",
    "\u202etrap",
    "x" * 10_000,
]

HOSTILE_BODIES = [
    b"ctrap\nTrap\n(tR.",  # a pickle that imports trap
    b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x04trap\x94\x8c\x04Trap\x94\x93\x94)\x81\x94.",
    b"!!python/object/apply:trap.Trap []",
    b'{"header": {"request_type": "fine", "handler": "trap:Trap"}, "body": {"py/object": "trap.Trap"}}',
    b'{"header": {"request_type": ["trap"]}, "body": {}}',
    b'{"header": {"request_type": {"$import": "trap"}}, "body": {}}',
    b'{"header": {"__class__": "trap.Trap"}, "body": {"__reduce__": ["trap.Trap", []], "__class__": "trap.Trap"}}',
    b'{"header": {"origin": "file:///trap"}, "body": {}}',
    b"[" * 50_000,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"n": ' + b"9" * 100_000 + b"}",
    b"\xff\xfe\x00\x00",
    b"",
]


def test_nothing_is_imported_or_made_because_a_message_says_so(shop: Shop) -> None:
    shop.write(JOBS)
    shop.write(TRAP, module="trap")
    shop.write(
        "import asyncio, sys\n"
        "from pulpo_core import Envelope, open_queue\n"
        "from hostile_bodies import BODIES\n"
        "async def main():\n"
        "    async with open_queue(sys.argv[1]) as queue:\n"
        "        print(await queue.publish([Envelope(body=body) for body in BODIES]))\n"
        "asyncio.run(main())\n",
        module="plant",
    )
    shop.write(f"BODIES = {HOSTILE_BODIES!r}\n", module="hostile_bodies")
    jobs = "\n".join(json.dumps({"type": name, "payload": "x"}) for name in HOSTILE_TYPES)
    assert shop.pulpo("publish", "-q", "--from-file", "-", stdin=jobs).status == 0
    subprocess.run([sys.executable, "plant.py", shop.url], cwd=shop.folder, check=True, timeout=50, capture_output=True)

    ran = shop.pulpo("run", *HANDLERS, "--burst", "--max-attempts", "1", "-vv")
    looked = [shop.pulpo("buried", "list", "--json", "-vv"), shop.pulpo("buried", "list")]

    assert [each.status for each in (ran, *looked)] == [0, 0, 0], ran.err
    assert not (shop.folder / "sprung").exists()
    handled = len(shop.journal)  # the one that asks for a handler there is
    buried = len(looked[0].json["records"])
    assert (handled, handled + buried) == (1, len(HOSTILE_TYPES) + len(HOSTILE_BODIES))
    assert "\u202e" not in looked[1].out


#: What can make objects of bytes, and so run whatever the bytes say.
MAKERS = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "yaml"}

#: Speaks to processes that it has started itself, over pipes that nobody else has.
OWN_PROCESSES = "processes.py"


def test_no_module_can_make_objects_of_a_message() -> None:
    for path in ROOT.glob("packages/*/src/**/*.py"):
        imported = {name for node in ast.walk(ast.parse(path.read_text())) for name in _imported(node)}
        assert not imported & MAKERS or path.name == OWN_PROCESSES, path


def _imported(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (each.name.partition(".")[0] for each in names)
        case ast.ImportFrom(module=str(module)):
            yield module.partition(".")[0]
        case ast.Call(func=ast.Name(id="eval" | "exec")):
            yield "pickle"  # as bad
