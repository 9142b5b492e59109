"""Float models, and the offline methods that turn them into integer ones."""

from intref.quantize.graph import FloatModel, load

__all__ = ["FloatModel", "load"]
