"""For tests of applications and adapters: clocks to command, chance to repeat, and the contract of a queue."""

from .manual_clock import ManualClock
from .seeded_jitter import SeededJitter
from .virtual_loop import START, LoopClock, Stuck, VirtualLoop, run_virtual, virtual_time

__all__ = ["START", "LoopClock", "ManualClock", "SeededJitter", "Stuck", "VirtualLoop", "run_virtual", "virtual_time"]
