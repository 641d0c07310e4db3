"""What the dispatcher needs from the outside, as Protocols whose docstrings are the contract."""
