"""Tests leave nothing behind in the checkout, and draw the same examples each time."""

import sys

from hypothesis import settings

sys.dont_write_bytecode = True
settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
settings.load_profile("fixed")
