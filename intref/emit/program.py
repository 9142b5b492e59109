"""C99 of ops, from their definitions: one file without dependencies, and its header."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from intref.emit.function import c_function
from intref.emit.graph import Progress, model_tables
from intref.emit.text import INDENT
from intref.emit.vocabulary import piece, vocabulary
from intref.errors import SpecError, near
from intref.model import SPEC_VERSION, Model
from intref.ops import OPS, Op


def c_header() -> str:
    """The header of what c_source makes."""
    return piece("interface.h")


def c_source(names: Iterable[str] | None = None, attrs: Mapping[str, Any] | None = None) -> str:
    """One C99 file that computes some ops (default: all), attributes fixed where attrs has them.

    The same definitions give the same bytes. SpecError for an unknown op or attribute; Unsupported, naming the op and
    what of its body has no C, for an op that cannot be written.
    """
    chosen = [*OPS] if names is None else [*dict.fromkeys(names)]
    what = chosen[0] if len(chosen) == 1 else f"{len(chosen)} ops"
    about = what + "".join(f", {name} = {value}" for name, value in (attrs or {}).items())
    fixed = _fixed([_op(name) for name in chosen], attrs or {})
    functions = [c_function(OPS[name], fixed[name]) for name in chosen]
    return _program(about, f"suite:{chosen[0] if len(chosen) == 1 else 'ops'}", chosen, functions)


def c_model(model: Model, progress: Progress = lambda what, done, total: None) -> str:
    """One C99 file that computes a whole model, as the op `model`, and every op of it alone.

    Inputs and outputs are in the order of their names. Memory is allocated per tensor and given back after its last
    use; intref_dut returns 3 where there is none left. Unsupported for a model with states.
    """
    chosen = [name for name in OPS if any(node.op == name for node in model.nodes)]
    functions = [*(c_function(OPS[name], {}) for name in chosen), model_tables(model, progress), piece("executor.c")]
    about = f"model {model.hash[:16]}, {len(model.nodes)} nodes"
    return _program(about, "PACKAGE", [*chosen, "model"], functions)


def _program(about: str, package: str, names: Sequence[str], functions: Sequence[str]) -> str:
    """A whole file; names: the ops it knows, in the order of their functions."""
    table = "\n".join(f'{INDENT}{{"{name}", op_{name}}},' for name in names)
    end = _DISPATCH.replace("    OPS_HERE", table)
    head = _ABOUT.format(about=about, spec=SPEC_VERSION, package=package)
    memory = "#include <stdlib.h>\n" if "model" in names else ""
    parts = [head, c_header(), memory + piece("program.c"), vocabulary("\n".join([*functions, end])), *functions, end]
    return "\n".join(part.strip("\n") + "\n" for part in parts)


_ABOUT = """\
/* {about}: integer transformers, specification {spec}.
   Written by `intref emit c` from the ops' definitions; C99, no dependencies.

       cc -std=c99 -O2 -shared -fPIC -o device.so THIS_FILE.c
       intref verify {package} --dut so:./device.so

   Checked in every call: the number of tensors and attributes, dtypes, the shapes of inputs and outputs, attributes,
   the range of every input, and the rules that tie several of these together (C5 and on), all but those that the
   comment above an op lists as not checked here. Values are computed as int64_t. A range in a comment is proved for
   all inputs and attributes in their ranges; where that needs more, within() checks it. All leading axes are one loop,
   over `rows`. */
"""
_DISPATCH = """\
static const struct {
    const char *name;
    int (*run)(const arguments *given);
} OPS[] = {
    OPS_HERE
};

int intref_dut(const char *op, int na, const char **names, const int64_t *values, int ni, const intref_tensor *in,
               int no, intref_tensor *out) {
    const arguments given = {na, names, values, ni, in, no, out};
    for (size_t i = 0; i < sizeof OPS / sizeof OPS[0]; i++)
        if (strcmp(OPS[i].name, op) == 0) return OPS[i].run(&given);
    return UNSUPPORTED;
}
"""


def _op(name: str) -> Op:
    if name not in OPS:
        raise SpecError(f"{name}: there is no such op, {near(name, OPS)} (C1)")
    return OPS[name]


def _fixed(ops: Sequence[Op], attrs: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """op -> those of its attributes that are fixed; SpecError if none has such an attribute, or one not that value."""
    for name in attrs:
        if not any(name in op.attrs for op in ops):
            known = sorted({known for op in ops for known in op.attrs})
            raise SpecError(f"{ops[0].name}: attributes must be {known}, not {name!r} (C4)")
    for op in ops:
        for name in op.attrs.keys() & attrs.keys():
            attr, value = op.attrs[name], attrs[name]
            if not attr.allows(value):
                allowed: list[Any] = [*attr.choices] or [attr.low, attr.high]
                raise SpecError(f"{op.name}: attribute {name!r} must be in {allowed}, not {value!r} (C4)")
    return {op.name: {name: attrs[name] for name in op.attrs if name in attrs} for op in ops}
