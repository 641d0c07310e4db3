"""How properties are tried in these tests."""

from hypothesis import settings

# Machines that run tests are shared: how long one example takes says nothing.
settings.register_profile("pulpo", deadline=None, print_blob=True)
settings.load_profile("pulpo")
