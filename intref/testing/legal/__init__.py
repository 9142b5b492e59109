"""What makes a drawn call of an op legal where ports and attributes alone do not: relations between them.

Each function changes tensors and attributes in place, and leaves alone the attributes that the caller fixed.
"""

from intref.testing.legal import floats, functions, layout, norms, products, rescales
from intref.testing.legal.shared import Attrs, Fit, Fixed, Tensors, clip

__all__ = ["FIT", "MADE", "Attrs", "Fixed", "Tensors", "clip"]

FAMILIES = (layout, products, rescales, norms, functions, floats)
FIT: dict[str, Fit] = {op: fit for family in FAMILIES for op, fit in family.FIT.items()}
# The inputs that these functions make, so that nothing is drawn for them before.
MADE: dict[str, set[str]] = {op: inputs for family in FAMILIES for op, inputs in family.MADE.items()}
