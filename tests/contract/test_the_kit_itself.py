"""The contract is worth something: adapters with one fault each are caught by the clause that names it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from pulpo_core import Envelope, State, Unavailable
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import CLAUSES, Finding, Harness, SeededJitter, Skipped, run_clause, try_clauses
from tests.contract.faults import CAUGHT, Faulty, FaultyAdapter
from tests.contract.faults.settling import RedeliversAfterAck

BY_ID = {clause.id: clause for clause in CLAUSES}


class Sound(Harness):
    """The adapter without a fault, and with every hook."""

    time = "virtual"

    def adapter(self):
        return MemoryAdapter()

    def url(self):
        return f"memory://{uuid4()}"

    async def publish_raw(self, url, body):
        """A foreign producer knows nothing but the bytes."""
        async with MemoryAdapter().open(url, clock=self.current_clock, jitter=SeededJitter()) as queue:
            await queue.publish([Envelope(body=body)])

    def clock(self):
        self.current_clock = super().clock()
        return self.current_clock

    async def cut_connection(self, queue):
        """A queue in memory has no connection to be cut."""

    async def restart_broker(self):
        """A queue in memory lives as long as the process, which goes on."""


class Broken(Sound):
    """The adapter with one fault, and with hooks that show it."""

    def __init__(self, fault):
        self.fault = fault

    def adapter(self):
        return FaultyAdapter(self.fault)

    def url(self):
        self.current_url = super().url()
        return self.current_url

    def missing_url(self):
        return super().url()

    async def cut_connection(self, queue):
        queue.cut = True

    async def restart_broker(self):
        if getattr(self.fault, "forgetful", False):
            async with MemoryAdapter().open(self.current_url, clock=self.current_clock, jitter=SeededJitter()) as queue:
                await queue.purge(frozenset({State.READY, State.DELAYED, State.BURIED}))

    async def stop_broker(self):
        """The broker of a queue in memory cannot be stopped."""

    async def start_broker(self):
        """Nor does it have to be started."""


@pytest.mark.parametrize(
    ("fault", "name"),
    [pytest.param(fault, name, id=f"{name}-{fault.__name__}") for fault, names in CAUGHT.items() for name in names],
)
def test_each_fault_is_caught_by_the_clause_that_names_it(fault, name):
    broken = Broken(fault)

    with pytest.raises(Exception) as caught:  # noqa: PT011 - the next line says which
        broken.run(run_clause(BY_ID[name], broken))

    assert not isinstance(caught.value, Skipped), f"skipped: {caught.value}"


def test_every_clause_catches_a_fault():
    assert {name for names in CAUGHT.values() for name in names} == BY_ID.keys()


#: What a queue in memory cannot have, wrapped or not.
IMPOSSIBLE = {"C011", "C163"}


@pytest.mark.parametrize("clause", [clause for clause in CLAUSES if clause.id not in IMPOSSIBLE], ids=repr)
def test_a_wrapper_without_a_fault_breaks_nothing(clause):
    harness = Broken(Faulty)
    try:
        harness.run(run_clause(clause, harness))
    except Skipped as skipped:
        pytest.skip(str(skipped))


class Reconnects(Faulty):
    """Says once that it is away when its connection was cut: no fault."""

    cut = False

    async def publish(self, batch):
        self.cut, was_cut = False, self.cut
        return [Unavailable("the connection was cut") for _ in batch] if was_cut else await self._queue.publish(batch)


def test_a_queue_may_say_once_that_its_connection_was_cut():
    reconnects = Broken(Reconnects)

    reconnects.run(run_clause(BY_ID["C161"], reconnects))


def test_a_broken_clause_says_what_was_promised():
    broken = Broken(RedeliversAfterAck)

    with pytest.raises(AssertionError, match=r"it was acknowledged, but \['\d+'\] came"):
        broken.run(run_clause(BY_ID["C030"], broken))


@pytest.mark.parametrize("clause", CLAUSES, ids=repr)
def test_every_clause_states_its_promise_in_a_sentence(clause):
    assert re.fullmatch(r"C\d{3}", clause.id)
    assert clause.promise.endswith(".")
    assert 30 < len(clause.promise) < 140
    assert clause.group


def test_promises_are_not_repeated():
    promises = [clause.promise for clause in CLAUSES]

    assert len(set(promises)) == len(promises)


def test_a_clause_whose_hook_is_missing_says_so():
    sound = Sound()

    with pytest.raises(Skipped, match=r"does not offer stop_broker\(\)"):
        sound.run(run_clause(BY_ID["C163"], sound))


def test_a_clause_that_does_not_concern_the_queue_says_so():
    sound = Sound()

    with pytest.raises(Skipped, match="the queue declares groups"):
        sound.run(run_clause(BY_ID["C173"], sound))


_MODULE = """
from uuid import uuid4
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import AdapterContract
from tests.contract.faults import FaultyAdapter
from tests.contract.faults.burial import ForgetsPriority


class Virtual(AdapterContract):
    time = "virtual"

    def url(self):
        return f"memory://{uuid4()}"

    def adapter(self):
        return FaultyAdapter(ForgetsPriority)


class TestKnown(Virtual):
    known_failures = {"C110": "no priorities yet", "C111": "sound, so this must be noticed"}


class TestUnknown(Virtual):
    known_failures = {"C999": "there is no such clause"}


class TestMaySkip(Virtual):
    may_skip = frozenset({"C162"})
"""


def run_pytest(folder: Path, module: str, *options: str) -> str:
    """What pytest prints about *module*, in a folder that knows nothing of this project's configuration."""
    (folder / "test_it.py").write_text(module)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-rA", *options]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says about three contracts, each with exceptions of its own."""
    chosen = "C110 or C111 or C042 or C161 or C162 or exceptions"
    return run_pytest(tmp_path_factory.mktemp("contracts"), _MODULE, "-k", chosen)


@pytest.mark.parametrize(
    ("verdict", "test"),
    [
        pytest.param("XFAIL", "TestKnown::test_clause[C110-urgent_ones_come_first]", id="known failures fail"),
        pytest.param("FAILED", "TestKnown::test_clause[C111-equals_come_in_order", id="mended ones are noticed"),
        pytest.param("FAILED", "TestKnown::test_clause[C042-a_retry_keeps_its_priority]", id="others are not excused"),
        pytest.param("FAILED", "TestUnknown::test_exceptions_name_clauses", id="misspelt ids are noticed"),
        pytest.param("PASSED", "TestKnown::test_exceptions_name_clauses", id="right ids are fine"),
        pytest.param("FAILED", "TestMaySkip::test_clause[C161-", id="a lost hook is noticed"),
    ],
)
def test_exceptions_are_told_by_id(verdicts, verdict, test):
    assert any(line.startswith(verdict) and test in line for line in verdicts.splitlines()), verdicts[-3000:]


def test_the_contract_can_be_tried_without_pytest():
    broken = Broken(RedeliversAfterAck)
    chosen = [BY_ID[name] for name in ("C001", "C030", "C173")]

    verdicts = list(try_clauses(broken, chosen))

    assert [verdict.finding for verdict in verdicts] == [Finding.KEPT, Finding.BROKEN, Finding.SKIPPED]
    assert [verdict.clause for verdict in verdicts] == chosen
    assert verdicts[1].text.startswith("it was acknowledged, but")
    assert verdicts[2].text == "the queue declares groups"


_PLAIN = """
from uuid import uuid4
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import AdapterContract


class TestPlain(AdapterContract):
    def url(self):
        return f"memory://{uuid4()}"

    def adapter(self):
        return MemoryAdapter()
"""


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["-p", "no:asyncio"], id="without the asyncio plug-in"),
        pytest.param(["-o", "asyncio_mode=strict"], id="in its strict mode"),
        pytest.param(["-o", "asyncio_mode=auto"], id="in its automatic mode"),
    ],
)
def test_the_contract_needs_no_plug_in(tmp_path, options):
    printed = run_pytest(tmp_path, _PLAIN, "-k", "C001 or C003 or C030 or C060 or exceptions", *options)

    assert "5 passed" in printed, printed[-3000:]


def test_virtual_time_needs_no_pytest():
    code = (
        "import sys; sys.modules['pytest'] = None; sys.modules['hypothesis'] = None\n"
        "import importlib.util; find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'pytest' else find(name, *a)\n"
        "from pulpo_core.testing import CLAUSES, Harness, LoopClock, ManualClock, run_clause, run_virtual\n"
        "async def main():\n    await LoopClock().sleep(10**6)\n    return len(CLAUSES)\n"
        "print(run_virtual(main()))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == str(len(CLAUSES)), done.stderr
