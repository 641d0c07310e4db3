"""``file:///PATH``: a durable queue in one file, for several processes at once, with no server."""

import importlib
from typing import TYPE_CHECKING, Any

from .adapter import FileAdapter

if TYPE_CHECKING:
    from .importing import ImportReport, import_legacy
    from .legacy import Unreadable

#: Imported when first asked for: they bring the driver with them.
_LATE = {"ImportReport": "importing", "Unreadable": "legacy", "import_legacy": "importing"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LATE[name]}", __name__), name)


__all__ = ["FileAdapter", "ImportReport", "Unreadable", "import_legacy"]
