"""`pulpo top`: a live view over queues of any kind, and what is repaired from it."""
