"""Twins of ops/ivit.py."""

from collections.abc import Callable
from typing import Any

KERNELS: tuple[Callable[..., Any], ...] = ()
