"""The contract is worth something: adapters with one fault each are caught by the clause that names it."""

import re
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import CLAUSES, Harness, Skipped, run_clause
from tests.contract import faults

BY_ID = {clause.id: clause for clause in CLAUSES}

#: Each fault, and the clauses that must catch it.
CAUGHT = {
    faults.StoresNothing: ["C001", "C002"],
    faults.StoresTwice: ["C001"],
    faults.GivesIdsAgain: ["C010"],
    faults.DoesNotWait: ["C003", "C004"],
    faults.SleepsThrough: ["C004", "C058", "C073"],
    faults.WaitsForAFullBatch: ["C014"],
    faults.IgnoresTheLimit: ["C005"],
    faults.SharesOneQueue: ["C006"],
    faults.CutsTheBatch: ["C009"],
    faults.SwallowsPublishFailures: ["C008", "C023"],
    faults.MutatesBytes: ["C021"],
    faults.TranslatesNewlines: ["C021", "C024"],
    faults.KeepsNoLimit: ["C023"],
    faults.CountsItsOwnFrame: ["C022", "C092"],
    faults.LosesOnCrash: ["C060", "C070", "C085"],
    faults.RedeliversAfterAck: ["C030"],
    faults.AcksOnRetry: ["C040", "C041", "C050"],
    faults.RefusesTheSecondAck: ["C031"],
    faults.SwallowsSettleFailures: ["C032", "C035", "C075"],
    faults.RaisesForTheWholeBatch: ["C035", "C055"],
    faults.AcceptsAStaleAck: ["C075", "C094"],
    faults.CountsReleases: ["C052"],
    faults.DropsFollowUps: ["C176"],
    faults.PublishesFollowUpsFirst: ["C177", "C178"],
    faults.RetriesASecondEarly: ["C041"],
    faults.RoundsDelaysDown: ["C049"],
    faults.ForgetsDelays: ["C044", "C048", "C059"],
    faults.CutsLongDelays: ["C059"],
    faults.RetriesByCopy: ["C040", "C042", "C081"],
    faults.NeverEndsLeases: ["C060", "C069", "C070"],
    faults.EndsLeasesEarly: ["C061"],
    faults.PretendsToExtend: ["C062"],
    faults.ExtendsAfterSettle: ["C064", "C065", "C076"],
    faults.ExtendsTheNeighbours: ["C067"],
    faults.TellsLateDeadlines: ["C068"],
    faults.LeaksLeasesAtClose: ["C070"],
    faults.BlocksWhileWaiting: ["C071"],
    faults.ResetsAttempts: ["C081", "C085"],
    faults.CountsRetriesOnly: ["C085"],
    faults.TakesRetriesForLosses: ["C086"],
    faults.CountsFromZero: ["C080", "C083"],
    faults.ForgetsTheReason: ["C091", "C103"],
    faults.BuriesByDropping: ["C091", "C101"],
    faults.KicksTheDelayed: ["C097"],
    faults.KicksAll: ["C095", "C105", "C102"],
    faults.KickKeepsAttempts: ["C083"],
    faults.KeepsTheFirstReason: ["C103"],
    faults.ForgetsPriority: ["C110", "C042"],
    faults.ReordersEquals: ["C111", "C112"],
    faults.ForgetsGroups: ["C113", "C115", "C119"],
    faults.ReordersAGroupOnFailure: ["C115"],
    faults.PeeksByTaking: ["C130"],
    faults.PurgesEverything: ["C132"],
    faults.DeletesWhatIsInHand: ["C133", "C098"],
    faults.MakesUpCounts: ["C128"],
    faults.PausesItselfOnly: ["C135", "C137"],
    faults.IgnoresInterrupts: ["C143"],
    faults.LosesCancelledReceives: ["C140"],
    faults.LeaksTasks: ["C147"],
    faults.WorksWhenClosed: ["C145"],
    faults.LogsBodies: ["C158"],
    faults.IgnoresUnknownParameters: ["C180"],
    faults.AcceptsSecrets: ["C181"],
    faults.PromisesNoPriorities: ["C172"],
    faults.PromisesMoreThanItsAdapter: ["C182"],
}


class Sound(Harness):
    """The adapter without a fault."""

    time = "virtual"

    def adapter(self):
        return MemoryAdapter()

    def url(self):
        return f"memory://{uuid4()}"


class Broken(Sound):
    """The adapter with one fault."""

    def __init__(self, fault):
        self.fault = fault

    def adapter(self):
        return faults.FaultyAdapter(self.fault)

    async def cut_connection(self, queue):
        """Nothing: a queue in memory has no connection, which the clause tolerates."""


@pytest.mark.parametrize(
    ("fault", "name"),
    [pytest.param(fault, name, id=f"{name}-{fault.__name__}") for fault, names in CAUGHT.items() for name in names],
)
def test_each_fault_is_caught_by_the_clause_that_names_it(fault, name):
    broken = Broken(fault)

    with pytest.raises(Exception) as caught:  # noqa: PT011 - the next line says which
        broken.run(run_clause(BY_ID[name], broken))

    assert not isinstance(caught.value, Skipped), f"skipped: {caught.value}"


def test_a_wrapper_without_a_fault_breaks_nothing():
    harness = Broken(faults.Faulty)
    for clause in CLAUSES:
        try:
            harness.run(run_clause(clause, harness))
        except Skipped:
            continue


def test_a_broken_clause_says_what_was_promised():
    broken = Broken(faults.RedeliversAfterAck)

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

    with pytest.raises(Skipped, match=r"does not offer restart_broker\(\)"):
        sound.run(run_clause(BY_ID["C162"], sound))


def test_a_clause_that_does_not_concern_the_queue_says_so():
    sound = Sound()

    with pytest.raises(Skipped, match="the queue declares groups"):
        sound.run(run_clause(BY_ID["C173"], sound))


_MODULE = """
from uuid import uuid4
from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import AdapterContract
from tests.contract import faults


class Virtual(AdapterContract):
    time = "virtual"

    def url(self):
        return f"memory://{uuid4()}"

    def adapter(self):
        return faults.FaultyAdapter(faults.ForgetsPriority)


class TestKnown(Virtual):
    known_failures = {"C110": "no priorities yet", "C111": "sound, so this must be noticed"}


class TestUnknown(Virtual):
    known_failures = {"C999": "there is no such clause"}


class TestMaySkip(Virtual):
    may_skip = frozenset({"C162"})
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What pytest says about three contracts, each with exceptions of its own."""
    module = tmp_path_factory.mktemp("contracts") / "test_contracts.py"
    module.write_text(_MODULE)
    chosen = "C110 or C111 or C042 or C161 or C162 or exceptions"
    command = [sys.executable, "-m", "pytest", str(module), "-rA", "-k", chosen, "-p", "no:cacheprovider", "-n", "0"]
    root = Path(__file__).parents[2]
    return subprocess.run(
        [*command, "--rootdir", str(root), "-c", str(root / "pyproject.toml")],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


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
