"""A shop that takes orders: a complete application on pulpo."""
