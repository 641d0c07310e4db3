"""Adapters against brokers in containers, for those who have a Docker engine: `./dev test-docker`."""
