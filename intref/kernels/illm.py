"""Twins of ops/illm.py."""

from collections.abc import Callable
from typing import Any

KERNELS: tuple[Callable[..., Any], ...] = ()
