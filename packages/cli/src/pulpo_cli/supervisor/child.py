"""Where a worker's process begins: ``python -P -m pulpo_cli.supervisor.child ORDERS ARGUMENTS…``."""

from __future__ import annotations

import signal
import sys

from pulpo_cli.streams import prepare


def begin(orders: str, *arguments: str) -> None:
    """Run the command line that the supervisor was started with."""
    for each in (signal.SIGINT, signal.SIGTERM):  # sent to a whole group: the supervisor has them, and tells us
        signal.signal(each, lambda *_: None)
    prepare()
    from pulpo_cli.main import main  # noqa: PLC0415 - signals reach the imports as well
    from pulpo_cli.session import Session  # noqa: PLC0415 - as above

    from .leash import Leash, Orders  # noqa: PLC0415 - as above

    main(list(arguments), Session(leash=Leash.taken_up(Orders.of_text(orders))))


if __name__ == "__main__":
    begin(*sys.argv[1:])
