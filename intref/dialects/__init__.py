"""What tells dialects apart: on vectors, site by site, and in the output of a model."""

from intref.dialects.difference import Difference, alias, differences
from intref.dialects.effect import Effect, Effects

__all__ = ["Difference", "Effect", "Effects", "alias", "differences"]
