"""The `pulpo` command."""

__version__ = "0.1.0"
