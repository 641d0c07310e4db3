"""The dispatcher and what it is made of: everything between the ports and the domain."""
