"""Messages, outcomes, settlements, policy, lifecycle, routing, errors: pure values and functions.

Nothing here reads a clock, draws a random number, logs, awaits or does I/O; whatever
depends on time or chance takes it as an argument. An import contract holds this true.
"""
