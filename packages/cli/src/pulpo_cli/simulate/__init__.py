"""Policies as they work out: what `pulpo simulate` computes and shows."""
