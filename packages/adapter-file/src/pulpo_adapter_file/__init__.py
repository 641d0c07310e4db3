"""The file queue of pulpo."""
