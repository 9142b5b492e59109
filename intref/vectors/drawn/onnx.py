"""Random calls of ops/onnx.py."""

from collections.abc import Callable

from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

DRAWS: dict[str, Callable[[Chance], Call]] = {}
AXES: dict[str, str] = {}
