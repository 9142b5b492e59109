"""C99 of ops and of whole models, written from their definitions: see `intref.emit.program`."""

from intref.emit.program import c_header, c_model, c_source

__all__ = ["c_header", "c_model", "c_source"]
