"""The directory in which the workers of one user on this host are found."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from pulpo_core import ConfigurationError


def runtime_directory() -> Path:
    """``pulpo`` in the runtime directory of the user's session, else one of the user's own among temporary ones.

    Made if it is not there, for nobody but its owner.

    Raises:
        ConfigurationError: something else stands in its place, or others could get in.
    """
    directory = _place()
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigurationError(f"{directory} is not a directory of user {os.getuid()}; set XDG_RUNTIME_DIR to one")
    if found.st_mode & 0o077:
        raise ConfigurationError(f"{directory} is open to others; chmod 700 it, or set XDG_RUNTIME_DIR")
    return directory


def _place() -> Path:
    session = os.environ.get("XDG_RUNTIME_DIR", "")
    if session and Path(session).is_absolute() and Path(session).is_dir():
        return Path(session) / "pulpo"
    return Path(tempfile.gettempdir()) / f"pulpo-{os.getuid()}"
