"""The real dispatcher in a simulated world: virtual time, seeded chance, a broker with faults; see `life.live`."""
