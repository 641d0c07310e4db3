"""Observers that ship with pulpo: Prometheus metrics, OpenTelemetry traces, and a health server.

Each needs its extra and is imported by its own name, so that nothing is loaded that is not in use.
"""
