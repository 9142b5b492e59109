"""intref: the bit-exact, integer-only transformer reference.

    fm = intref.load("checkpoint_dir")          float model from safetensors
    m = fm.quantize(recipe="w8a8-token")        integer model, proved free of overflow
    r = m.run({"input_ids": ids})               integers only; r.outputs, r.digest
    intref.write_golden(m, inputs, "gold/")     a golden package
    intref.judge("gold/", dut="so:./dev.so")    a verdict on a device under test

All names; help(intref.NAME) tells more:

    load, open                                  a float checkpoint directory; a saved integer model
    import_onnx                                 an integer network of ONNX
    write_golden, judge                         golden packages, and verdicts against them
    OPS, call, step                             the ops by name; one call of one; every intermediate of one element
    Model                                       the integer graph: run, proof, save, hash
    IntrefError                                 all expected errors: SpecError, FormatError, BoundError, Unsupported

Names are loaded when first used: `import intref` imports no numba and no float code.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intref.errors import BoundError, FormatError, IntrefError, SpecError, Unsupported
    from intref.golden import write_golden
    from intref.importing import import_onnx
    from intref.model import Model
    from intref.modelfile import open_model as open
    from intref.ops import OPS
    from intref.quantize import load
    from intref.run import call, step
    from intref.verify import judge

_HOME = {
    **dict.fromkeys(("BoundError", "FormatError", "IntrefError", "SpecError", "Unsupported"), "intref.errors"),
    "OPS": "intref.ops",
    "call": "intref.run",
    "step": "intref.run",
    "Model": "intref.model",
    "open": "intref.modelfile",
    "load": "intref.quantize",
    "import_onnx": "intref.importing",
    "write_golden": "intref.golden",
    "judge": "intref.verify",
}
__all__ = [
    "OPS",
    "BoundError",
    "FormatError",
    "IntrefError",
    "Model",
    "SpecError",
    "Unsupported",
    "call",
    "import_onnx",
    "judge",
    "load",
    "open",
    "step",
    "write_golden",
]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'intref' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), "open_model" if name == "open" else name)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
