"""The `pulpo` command."""
