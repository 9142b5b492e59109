"""Golden packages: directories from which another implementation can be built and judged without reading our code."""

from intref.golden.forms import FORMS, export
from intref.golden.package import OpCase, Package, suite_path
from intref.golden.read import read_golden
from intref.golden.spec import spec_text
from intref.golden.write import write_golden, write_op_golden

__all__ = ["FORMS", "OpCase", "Package", "export", "read_golden", "spec_text", "suite_path", "write_golden"]
__all__ += ["write_op_golden"]
