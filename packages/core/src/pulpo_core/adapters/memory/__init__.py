"""``memory://NAME``: a queue inside one process, for tests, for learning, and as the reference of all queues."""

from .adapter import MemoryAdapter

__all__ = ["MemoryAdapter"]
