"""What was removed for good, told by ids or as a number: `delete`, `purge` and `buried delete`."""

from __future__ import annotations

from collections.abc import Sequence

from pulpo_core import AdapterError, status_of

from . import errors
from .output import complain, say, say_json
from .units import plural


def report_deleted(ids: Sequence[str], answers: Sequence[AdapterError | None], *, as_json: bool) -> int:
    """Print which of *ids* are gone, and why others are not; the exit status."""
    failed = {id_: error for id_, error in zip(ids, answers, strict=True) if error is not None}
    deleted = [id_ for id_ in ids if id_ not in failed]
    if as_json:
        told = {id_: str(error) for id_, error in failed.items()}
        say_json({"removed": len(deleted), "deleted": deleted, "failed": told})
    else:
        for id_ in deleted:
            say(id_)
    for error in failed.values():
        complain(errors.one_line(str(error)))
    return max((status_of(error) for error in failed.values()), default=errors.DONE)


def report_removed(count: int, *, as_json: bool) -> int:
    """Print how many messages are gone; the exit status."""
    if as_json:
        say_json({"removed": count})
    else:
        say(f"removed {plural(count, 'message')}")
    return errors.DONE
