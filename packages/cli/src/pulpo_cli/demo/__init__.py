"""`pulpo demo`: a complete run on real input, small enough to read."""
