"""The clauses of the contract, one module for each group. Importing this registers them all."""

from pulpo_core.testing.registry import REGISTRY

from . import (
    attempts,
    burial,
    delay,
    inspecting,
    lease,
    lifecycle,
    order,
    payload,
    publishing,
    refusal,
    settling,
)

#: All of them, by their ids.
CLAUSES = tuple(sorted(REGISTRY.values(), key=lambda each: each.id))

__all__ = [
    "CLAUSES",
    "attempts",
    "burial",
    "delay",
    "inspecting",
    "lease",
    "lifecycle",
    "order",
    "payload",
    "publishing",
    "refusal",
    "settling",
]
