"""The queue in memory keeps the whole contract, in virtual time and on an ordinary loop."""

from uuid import uuid4

from pulpo_core.adapters.memory import MemoryAdapter
from pulpo_core.testing import AdapterContract


class TestMemory(AdapterContract):
    """All waiting is virtual."""

    time = "virtual"

    def adapter(self) -> MemoryAdapter:
        return MemoryAdapter()

    def url(self) -> str:
        return f"memory://{uuid4()}"


class TestMemoryByHand(TestMemory):
    """The same under a clock that is moved by hand, as for adapters that work in threads."""

    time = "manual"
