"""Write the reference pages anew, and say which have changed."""

from . import write

for path in write():
    print(path)
