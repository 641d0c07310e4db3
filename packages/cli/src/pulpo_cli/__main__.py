"""``python -m pulpo_cli`` is the `pulpo` command."""

from .main import main

if __name__ == "__main__":
    main()
