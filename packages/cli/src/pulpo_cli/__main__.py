"""The `pulpo` command, which is ``python -m pulpo_cli`` too, from its first moment."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process."""
    try:
        from .main import main as run  # noqa: PLC0415 - a Ctrl-C reaches the imports as well
    except KeyboardInterrupt:
        print("pulpo: stopped", file=sys.stderr)
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
