"""Tests leave nothing behind in the checkout."""

import sys

sys.dont_write_bytecode = True
