"""pulpo measured beside its peers; see README.md."""
