"""Integer networks that others made, as models of ours: proved, run on both backends, traced and judged like any other.

m = intref.import_onnx("network.onnx")                              inputs taken as int8
m = intref.import_onnx("network.onnx", inputs={"x": "uint8"})       or declared
m = intref.import_onnx("network.onnx", check="dir")                 or as dir/inputs.npz holds them
"""

from intref.errors import Unsupported

try:
    import onnx
except ImportError as error:
    raise Unsupported("importing ONNX needs onnx: pip install 'intref[onnx]'") from error

from intref.importing.check import Check, imported_and_checked
from intref.importing.importer import import_onnx

__all__ = ["Check", "import_onnx", "imported_and_checked", "onnx"]
