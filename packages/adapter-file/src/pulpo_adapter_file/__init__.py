"""``file:///PATH``: a durable queue in one file, for several processes at once, with no server."""

from .adapter import FileAdapter

__all__ = ["FileAdapter"]
