"""Adapters with one fault each, to prove that the contract would notice; `CAUGHT` says which clause must."""

from tests.contract.faults import burial, honesty, inspecting, lease, lifecycle, publishing, settling
from tests.contract.faults.wrapper import CAUGHT, Faulty, FaultyAdapter

__all__ = [
    "CAUGHT",
    "Faulty",
    "FaultyAdapter",
    "burial",
    "honesty",
    "inspecting",
    "lease",
    "lifecycle",
    "publishing",
    "settling",
]
