"""The `pulpo` command, which is ``python -m pulpo_cli`` too, from its first moment."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

from .streams import prepare


def main() -> None:
    """Run the command line of this process. SIGTERM is as Ctrl-C to it, from now on and unless a command knows better.

    Without that it would end nothing where this is the first process of a container.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    prepare()
    try:
        from .main import main as run  # noqa: PLC0415 - a Ctrl-C reaches the imports as well
    except KeyboardInterrupt:
        print("pulpo: stopped", file=sys.stderr)
        sys.exit(130)
    run()


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
