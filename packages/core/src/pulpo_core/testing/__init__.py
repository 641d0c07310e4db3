"""For tests of applications and adapters: clocks to command, chance to repeat, and the contract of a queue.

Virtual time, for tests of anything that takes a `Clock`; needs nothing but core::

    @virtual_time
    async def test_a_day_passes_at_once():
        await LoopClock().sleep(86_400)

The contract, for tests of adapters; needs the extra ``pulpo-core[testing]``::

    from pulpo_core.testing import AdapterContract


    class TestKafka(AdapterContract):
        time = "real"  # "manual" if the adapter takes all time from its Clock
        delay = timedelta(seconds=1)  # short where time is real

        def adapter(self):
            return KafkaAdapter()

        def url(self):  # a fresh queue each time; with a short lease where time is real
            return f"kafka://localhost/{uuid4()}?lease=2s"

That is all: the open queue's own capabilities choose the clauses. Fixtures work as in any test
class (an autouse fixture may start a server and keep it in ``self``). `Harness` says what else can
be overridden; hooks such as ``restart_broker`` add the clauses that need them. What is known to be
broken is told by id, ``known_failures = {"C049": "why"}``, and must then fail.

Random walks beside a model of a queue, for queues whose time can be moved::

    TestKafkaWalks = queue_machine(KafkaHarness, examples=50).TestCase
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .manual_clock import ManualClock
from .seeded_jitter import SeededJitter
from .virtual_loop import START, LoopClock, Stuck, VirtualLoop, run_virtual, virtual_time

if TYPE_CHECKING:
    from .bench import Bench
    from .clauses import CLAUSES
    from .contract import AdapterContract
    from .harness import Harness
    from .live import LiveHarness
    from .machine import queue_machine
    from .real_clock import RealClock
    from .registry import Clause, Need, clause
    from .trial import Finding, Skipped, Verdict, fresh_bench, run_clause, try_clauses

if find_spec("pytest"):
    import pytest

    # Before they are imported: pytest then shows the values in the assertions of the kit, as in any test.
    pytest.register_assert_rewrite(*[f"{__name__}.{part}" for part in ("bench", "clauses", "machine", "model")])

#: Loaded when first asked for: only these need pytest and all of core.
_LATE = {
    "AdapterContract": "contract",
    "Bench": "bench",
    "CLAUSES": "clauses",
    "Clause": "registry",
    "Finding": "trial",
    "Harness": "harness",
    "LiveHarness": "live",
    "Need": "registry",
    "RealClock": "real_clock",
    "Skipped": "trial",
    "Verdict": "trial",
    "clause": "registry",
    "fresh_bench": "trial",
    "queue_machine": "machine",
    "run_clause": "trial",
    "try_clauses": "trial",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)


__all__ = [
    "CLAUSES",
    "START",
    "AdapterContract",
    "Bench",
    "Clause",
    "Finding",
    "Harness",
    "LiveHarness",
    "LoopClock",
    "ManualClock",
    "Need",
    "RealClock",
    "SeededJitter",
    "Skipped",
    "Stuck",
    "Verdict",
    "VirtualLoop",
    "clause",
    "fresh_bench",
    "queue_machine",
    "run_clause",
    "run_virtual",
    "try_clauses",
    "virtual_time",
]
