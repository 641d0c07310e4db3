"""A route's behaviour in plain words."""
