"""The adapter that core ships: the queue in memory. All others are distributions of their own."""
