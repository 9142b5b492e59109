"""Shows of a model that nothing below the lowering is a float, and how wide everything is.

Three proofs: the source of every integer-only module, the LLVM and machine code of every kernel the model runs, and the
proved range of every tensor beside the bits that are declared for it.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from intref.audit_source import float_problems
from intref.model import Model, Node
from intref.modelfile import canonical
from intref.proof import Proof
from intref.run import run
from intref.verify import node_ids

OPERANDS = {"linear": ("x", "weight"), "matmul": ("a", "b")}
PROMISED = 8  # bits of a linear layer's operands
# Instructions that make, change or compare floats, and the types that hold them.
FLOAT_CODE = re.compile(
    r"\b(f(?:add|sub|mul|div|rem|neg|cmp|ptrunc|pext|ptosi|ptoui)|[su]itofp|half|bfloat|float|double|fp128|x86_fp80)\b"
)
# What computes with floats on x86 and on ARM. Moves and bitwise instructions, which integers share, do not.
FLOAT_ASSEMBLY = re.compile(
    r"^\s*(v?(add|sub|mul|div|sqrt|rsqrt|rcp|min|max|cmp|round|dp|hadd|f[n]?m(add|sub)\w*)\w*(ss|sd|ps|pd|sh|ph)|v?cvt\w+"
    r"|v?u?comis[sdh]|f(i?(add|sub|mul|div)|ild|ist|sqrt)\w*|f(madd|mla|max|min|rint)\w*|[su]cvtf|fcvt\w*)\s"
)
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
Told = Callable[[str, int, int], None]
Table = tuple[str, Sequence[str], Iterable[Sequence[object]]]


@dataclass(frozen=True)
class Tensor:
    """low, high: proved. needed: bits that hold them; declared: bits of the model file. kind: input, constant, node."""

    name: str
    kind: str
    dtype: str
    low: int
    high: int
    needed: int
    declared: int


@dataclass(frozen=True)
class Operand:
    """One factor of a product: the tensor, and the bits that it needs."""

    node: str
    op: str
    port: str
    tensor: str
    bits: int
    signed: bool


@dataclass(frozen=True)
class Widest:
    """The widest intermediate of a node: bits with its sign, and what it is."""

    node: str
    op: str
    bits: int
    text: str


@dataclass(frozen=True)
class Audit:
    """What was looked at and what was found. findings: a line for each thing that is wrong; ok: there is none.

    compiled: kernel -> lines of LLVM code; None without numba, where there is no kernel to look at.
    """

    model: str
    about: dict[str, Any]
    findings: tuple[str, ...]
    modules: int
    compiled: tuple[tuple[str, int], ...] | None
    tensors: tuple[Tensor, ...]
    operands: tuple[Operand, ...]
    widest: tuple[Widest, ...]

    @property
    def ok(self) -> bool:
        return not self.findings

    def receipt(self) -> dict[str, Any]:
        """Everything that json() says, as plain values; ranges as text, as they may need more than 53 bits."""
        return {
            "schema": 1,
            "ok": self.ok,
            "model": self.model,
            "about": self.about,
            "findings": list(self.findings),
            "modules": self.modules,
            "compiled": None
            if self.compiled is None
            else [{"function": name, "instructions": count} for name, count in self.compiled],
            "tensors": [asdict(t) | {"low": str(t.low), "high": str(t.high)} for t in self.tensors],
            "operands": [asdict(o) for o in self.operands],
            "widest": [asdict(w) for w in self.widest],
        }

    def json(self) -> str:
        """The receipt as canonical JSON."""
        return canonical(self.receipt())

    def tables(self) -> Iterator[Table]:
        """Title, columns (> is set to the right) and rows of each part, for a terminal."""
        rows = [(t.name, t.kind, t.dtype, t.low, t.high, t.needed, t.declared) for t in self.tensors]
        yield "tensors", ("tensor", "is", "dtype", "low>", "high>", "bits>", "declared>"), rows
        factors = [(o.node, o.op, o.port, o.tensor, f"{'' if o.signed else 'u'}{o.bits}") for o in self.operands]
        yield "operands of products", ("node", "op", "input", "tensor", "bits>"), factors
        yield (
            "widest intermediates",
            ("node", "op", "bits>", "is"),
            [(w.node, w.op, w.bits, w.text) for w in self.widest],
        )

    def text(self) -> str:
        """The verdict, and what it rests on."""
        peak = max((w.bits for w in self.widest), default=0)
        lines = [
            f"source: {self.modules} integer-only modules, no float can be made in them",
            f"compiled: {self._compiled_text()}",
            f"tensors: {len(self.tensors)}, integers all, each proved inside its declared range",
            f"intermediates: at most {peak} bits, of 64",
        ]
        unseen = [lines[1]] if self.compiled is None else []
        lines = lines if self.ok else [*unseen, *(f"FAIL {finding}" for finding in self.findings)]
        return "\n".join([*lines, f"audit: {'passed' if self.ok else f'failed, {len(self.findings)} findings'}"])

    def _compiled_text(self) -> str:
        if self.compiled is None:
            return "numba is not installed, no kernel to inspect"
        return f"{len(self.compiled)} kernels, {sum(n for _, n in self.compiled)} lines of LLVM code"


def audit(model: Model, progress: Told | None = None) -> Audit:
    """Audit a model; BoundError if it is not even proved free of overflow. Without numba: all but compiled code."""
    told = progress or (lambda what, done, total: None)
    proof = model.proof()
    package = Path(__file__).parent
    sources = [*float_problems(package)]
    code = _compiled_for(model, told)
    operands = tuple(_operands(model, proof))
    findings = [
        *(f"source: {problem}" for problem in sources),
        *(f"compiled: {name}: {line}" for name, _, lines in code or () for line in lines),
        *(f"tensor {name!r} is {t.dtype}" for name, t in model.tensors.items() if np.dtype(t.dtype).kind not in "iu"),
        *(_too_wide(operand) for operand in operands if operand.op == "linear" and operand.bits > PROMISED),
    ]
    return Audit(
        model.hash,
        model.about,
        tuple(findings),
        _integer_modules(package),
        None if code is None else tuple((name, count) for name, count, _ in code),
        tuple(_tensors(model, proof)),
        operands,
        tuple(_widest(model, proof)),
    )


def _integer_modules(package: Path) -> int:
    """How many modules float_problems looks at."""
    from intref.audit_floats import strictness

    names = (".".join(path.relative_to(package).with_suffix("").parts) for path in package.rglob("*.py"))
    return sum(strictness(name) != "float" and not name.startswith("golden.suite") for name in names)


def _compiled_for(model: Model, told: Told) -> list[tuple[str, int, tuple[str, ...]]] | None:
    if find_spec("numba") is None:
        return None
    _run_once(model)
    return [*compiled(told)]


def _run_once(model: Model) -> None:
    """Have every kernel of the model compiled, on three rows of three tokens of the lowest allowed values."""
    inputs = {}
    for name, default in model.inputs.items():
        declared = model.tensors[name]
        shape = [min(3, model.dims[a]) if isinstance(a, str) else a for a in declared.axes]
        inputs[name] = np.full(shape, declared.range[0] if default is None else default, declared.dtype)
    run(model, inputs, "fast")


def compiled(progress: Told) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """(function and types, lines of LLVM code, code that touches a float) of every kernel that this process has run."""
    found = [(dispatcher, signature) for dispatcher in _dispatchers() for signature in dispatcher.signatures]
    for i, (dispatcher, signature) in enumerate(found):
        function = dispatcher.py_func
        yield f"{function.__module__}.{function.__name__}{signature}", *_looked_at(dispatcher, signature)
        progress("audit: compiled kernels", i + 1, len(found))


@cache
def _looked_at(dispatcher: Any, signature: Any) -> tuple[int, tuple[str, ...]]:
    """Compile once more, with what it calls inlined or beside it: code from numba's disk cache cannot be looked at."""
    import numba

    again = numba.jit(**dispatcher.targetoptions)(dispatcher.py_func)
    again.compile(signature)
    lines = instructions(again.inspect_llvm(signature))
    return len(lines), (*float_code(lines), *float_assembly(again.inspect_asm(signature)))


def _dispatchers() -> list[Any]:
    """Every compiled function of the kernels' modules, once."""
    import sys

    from numba.core.dispatcher import Dispatcher

    modules = [module for name, module in sorted(sys.modules.items()) if name.startswith("intref.kernels")]
    functions = [value for module in modules for _, value in sorted(vars(module).items())]
    return [*{id(f): f for f in functions if isinstance(f, Dispatcher)}.values()]


def instructions(text: str) -> list[str]:
    """The lines inside function bodies, without strings, comments and metadata."""
    lines, inside = [], False
    for line in text.splitlines():
        bare = QUOTED.sub('""', line).partition(";")[0].partition(", !")[0].strip()
        inside = (inside or bare.startswith("define")) and bare != "}"
        if inside and bare:
            lines.append(bare)
    return lines


def float_code(lines: Iterable[str]) -> list[str]:
    """The lines of LLVM code that touch a float."""
    return [line for line in lines if FLOAT_CODE.search(re.sub(r"[@%][-\w.$]+", "", line))]


def float_assembly(text: str) -> list[str]:
    """The lines of assembly that compute with floats."""
    return [line.strip() for line in text.splitlines() if FLOAT_ASSEMBLY.search(line)]


def needed_bits(low: int, high: int) -> tuple[int, bool]:
    """(bits, signed): the fewest bits that hold [low, high], unsigned where nothing is negative."""
    if low >= 0:
        return max(1, high.bit_length()), False
    return max((-1 - low).bit_length(), high.bit_length() if high > 0 else 0) + 1, True


def _tensors(model: Model, proof: Proof) -> Iterator[Tensor]:
    for name, declared in model.tensors.items():
        kind = "input" if name in model.inputs else "constant" if name in model.constants else "node"
        low, high = proof.ranges[name]
        needed, signed = needed_bits(low, high)
        needed += int(declared.signed and not signed and high > 0)  # the sign that its dtype spends all the same
        yield Tensor(name, kind, declared.dtype, low, high, needed, declared.bits)


def _operands(model: Model, proof: Proof) -> Iterator[Operand]:
    for identity, node in zip(node_ids(model), model.nodes):
        for port in OPERANDS.get(node.op, ()):
            bits, signed = needed_bits(*proof.ranges[node.inputs[port]])
            yield Operand(identity, node.op, port, node.inputs[port], bits, signed)


def _too_wide(operand: Operand) -> str:
    return f"{operand.node}: input {operand.port!r} ({operand.tensor}) needs {operand.bits} bits, not {PROMISED}"


def _widest(model: Model, proof: Proof) -> Iterator[Widest]:
    named: Iterable[tuple[str, Node]] = zip(node_ids(model), model.nodes)
    for (identity, node), (bits, text) in zip(named, proof.widest):
        yield Widest(identity, node.op, bits + 1, text)
