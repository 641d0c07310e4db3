"""The queue in memory keeps the whole contract, in virtual time and on an ordinary loop."""

from uuid import uuid4

from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import AdapterContract

#: Queues in memory are always there, and have neither connections, nor a broker, nor foreign producers.
_CANNOT = frozenset({"C011", "C027", "C069", "C082", "C160", "C161", "C162", "C163"})

#: What they declare, other queues do not; and the other way round.
_DECLARED = frozenset({"C033", "C045", "C171", "C172", "C173", "C174", "C175"})


class TestMemory(AdapterContract):
    """All waiting is virtual."""

    time = "virtual"
    may_skip = _CANNOT | _DECLARED

    def adapter(self) -> MemoryAdapter:
        return MemoryAdapter()

    def url(self) -> str:
        return f"memory://{uuid4()}"


class TestMemoryByHand(TestMemory):
    """The same under a clock that is moved by hand, as for adapters that work in threads."""

    time = "manual"
