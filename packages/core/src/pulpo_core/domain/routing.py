"""Which handler a request type reaches: a table with a default, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen(slots=True)
class RouteTable(Generic[T]):
    """Request types and what handles them.

    Attributes:
        by_type: one entry for each registered request type.
        default: what takes messages whose type is missing or not registered; `None` for nothing.
    """

    by_type: Mapping[str, T] = attrs.field(factory=dict)
    default: T | None = None

    def find(self, request_type: str | None) -> T | None:
        """What handles *request_type*; `None` when nothing does."""
        if request_type is None:
            return self.default
        return self.by_type.get(request_type, self.default)

    def __bool__(self) -> bool:
        """Whether anything can be routed at all."""
        return bool(self.by_type) or self.default is not None

    def __iter__(self) -> Iterator[T]:
        """Every target once, the default last."""
        targets = list(self.by_type.values())
        if self.default is not None:
            targets.append(self.default)
        yield from {id(target): target for target in targets}.values()
