"""The house rules read from source text: who may import whom; where no float may be made is in audit_floats.py.

Everything here works on syntax trees alone, so that a rule holds for code that no test runs. `problems` is for the
check of a checkout, `float_problems` for the audit of an installed package.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

from intref.audit_floats import INTEGER_NAMES, floats, nearest, strictness

FACADE = "__init__"
BASE = {"errors", "atomic", "tensorfile", "npzfile"}
OPS = {"errors", "intmath", "numbertypes", "ops"}
GRAPH = {*BASE, *OPS, "digest", "profiles", "model"}
RUN = {*GRAPH, "proof", "modelfile", "run"}
EXPLAIN = {*OPS, "comparison", "faults", "explain"}
VERIFY = {*RUN, *EXPLAIN, "vectors", "golden", "devices", "report", "verify"}
TESTED = {*VERIFY, "minimize", "testing"}

# module or package -> what of intref it may import, in reading order; a module's own row stands before its package's.
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "atomic": {"errors"},
    "tensorfile": {"errors", "atomic"},
    "npzfile": {"errors", "atomic", "tensorfile"},
    "intmath": {"errors"},
    "numbertypes": {"errors", "intmath"},
    "ops": OPS,
    "vectors": {*OPS, "vectors"},
    "kernels": {"kernels"},
    "profiles": {*BASE, "intmath", "ops", "profiles"},
    "digest": set(),
    "model": {*BASE, *OPS},
    "proof": {*OPS, "model"},
    "builder": {*OPS, "model", "proof"},
    "modelfile": {*BASE, "model"},
    "run": {*OPS, "digest", "model"},
    "display": set(),
    "golden": {*RUN, "vectors", "golden"},
    "golden.onnx": {*RUN, "golden", "golden.onnx"},
    "emit": {*BASE, *OPS, "model", "modelfile", "emit"},
    "comparison": set(),
    "coverage": {*RUN, "vectors", "golden", "coverage"},
    "rtl": {*BASE, *OPS, "comparison", "profiles", "rtl"},
    "devices": {*BASE, *OPS, "model", "modelfile", "rtl", "devices"},
    "devices.onnxruntime": {*BASE, "golden.onnx", "devices"},
    "faults": {*OPS, "faults"},
    "explain": EXPLAIN,
    "report": {*BASE, "comparison", "model", "modelfile", "golden", "report"},
    "verify": VERIFY,
    "minimize": {*VERIFY, "minimize"},
    "identify": {*VERIFY, "identify"},
    "selftest": {*VERIFY, "selftest"},
    "sweep": {*VERIFY, "sweep"},
    "testing": TESTED,
    "element": {*TESTED, "element"},
    "checkpoint": {*BASE, "checkpoint"},
    "quantize.scales": {"errors", "intmath"},
    "quantize": {*GRAPH, "proof", "builder", "modelfile", "run", "checkpoint", "quantize", "quantize.scales"},
    "dialects": {*RUN, "vectors", "golden", "checkpoint", "quantize", "quantize.scales", "dialects"},
    "importing": {*RUN, "builder", "quantize.scales", "importing"},
    "audit_floats": set(),
    "audit_source": {"audit_floats"},
    "audit": {*TESTED, "element", "audit_source", "audit_floats", "audit"},
    "pages": {"errors", "modelfile", "report", "pages"},
    "demo.device": set(),
    "demo.gpu": {"demo.gpu"},
    "demo": {*TESTED, "quantize", "checkpoint", "demo"},
    "cli": {
        *TESTED,
        "element",
        "identify",
        "selftest",
        "coverage",
        "display",
        "emit",
        "pages",
        "rtl",
        "sweep",
        "quantize",
        "importing",
        "checkpoint",
        "dialects",
        "audit_floats",
        "audit_source",
        "audit",
        "demo",
        "cli",
    },
    "__main__": {"cli"},
    FACADE: {"errors", "ops", "model"},
}
# Imports that wait until a function is called: a facade's way down, and what most users never need.
LAZY = {
    "golden": {"golden.onnx"},
    "model": {"proof", "run", "modelfile"},
    "run": {"kernels", "display"},
    "audit": {"kernels"},
    FACADE: {*TESTED, "quantize", "importing", "audit", "demo"},
}
USERS_OF_FACADE = ("cli", "demo")  # others take nothing from intref itself but its version
DYNAMIC = {
    FACADE,
    "devices",
    "devices.worker",
    "coverage.body",
    "testing",
}  # they import by computed name: a table of their own, or a user's device

STANDARD = set(
    """
    abc ast collections contextlib ctypes dataclasses fnmatch functools hashlib importlib inspect io itertools
    json mmap os pathlib re reprlib secrets selectors shlex shutil signal stat struct subprocess sys tempfile
    textwrap threading tomllib types typing warnings xml zipfile zlib enum operator platform difflib resource
    fractions decimal
    """.split()
)
PURE = {
    "collections",
    "dataclasses",
    "dis",
    "fractions",
    "functools",
    "inspect",
    "itertools",
    "typing",
    "numpy",
    "math",
}
SHELL = {*STANDARD, "numpy", "math", "time", "rich", "click"}
# What a module may import from outside; others may import STANDARD, numpy and math.
OUTSIDE: dict[str, set[str]] = {
    **dict.fromkeys(("intmath", "numbertypes", "ops"), PURE),
    "vectors": {*PURE, "pathlib", "tomllib"},
    "kernels": {*("numpy", "numba", "hashlib", "os", "pathlib", "concurrent", "threading", "collections", "typing")},
    "devices": {*STANDARD, "numpy", "math", "time"},
    "devices.onnxruntime": {*STANDARD, "numpy", "onnxruntime"},
    "golden.onnx": {*STANDARD, "numpy", "math", "onnx"},
    "importing": {*STANDARD, "numpy", "math", "onnx"},
    "verify": {*STANDARD, "numpy", "math", "time"},
    "identify": {*STANDARD, "numpy", "time"},
    "rtl": {*STANDARD, "numpy", "cocotb"},
    "selftest": {*STANDARD, "numpy", "math", "concurrent", "multiprocessing", "time"},
    "display": {"numpy", "typing"},
    "pages": {*STANDARD, "base64", "jinja2", "markupsafe", "math"},
    "quantize": {*STANDARD, "numpy", "math", "scipy", "threadpoolctl", "tokenizers"},
    "dialects": {*STANDARD, "numpy", "math", "threadpoolctl", "matplotlib"},
    "audit": {*STANDARD, "numpy", "math", "numba"},
    "demo.gpu": {*STANDARD, "numpy", "math", "torch", "triton"},
    "testing": {*STANDARD, "numpy", "math", "time", "pytest", "hypothesis"},
    "demo": SHELL,
    "cli": SHELL,
}
COMPUTED = {"import_module", "__import__", "exec", "eval", "spec_from_file_location"}


def layer(module: str) -> str | None:
    """The row of LAYERS that a dotted module name (without intref) falls under; None if it is not listed."""
    return nearest(module, LAYERS)


def problems(package: Path) -> Iterator[str]:
    """Every broken rule of a source tree, as `path:line: what`; package is the directory intref."""
    for path, module in _modules(package):
        if layer(module) is None:
            yield f"{path}: unlisted module {module}"
            continue
        source = path.read_text(encoding="utf-8")
        yield from (f"{path}:{problem}" for problem in scan(source, module, path.name == "__init__.py"))


def float_problems(package: Path) -> Iterator[str]:
    """Every float that the source of an integer-only module could make, as `path:line: what`."""
    for path, module in _modules(package):
        found = sorted(floats(ast.parse(path.read_text(encoding="utf-8")), module))
        yield from (f"{path}:{line}: {text}" for line, text in found)


def scan(source: str, module: str, is_package: bool = False) -> list[str]:
    """The problems of one module's source text, as `line: what`."""
    tree = ast.parse(source)
    found = sorted([*_import_problems(tree, module, is_package), *floats(tree, module)])
    return [f"{line}: {text}" for line, text in found]


def _modules(package: Path) -> Iterator[tuple[Path, str]]:
    """(path, dotted name without intref); the conformance suite that a wheel carries is no part of the package."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if parts[:2] != ("golden", "suite"):
            yield path, ".".join(parts[:-1] if parts[-1] == FACADE and len(parts) > 1 else parts)


def _import_problems(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    delayed = {id(inner) for node in ast.walk(tree) for inside in _delayed(node) for inner in ast.walk(inside)}
    names = ["intref", *(module.split(".") if module != FACADE else [])]
    package = names if is_package else names[:-1]
    for node in ast.walk(tree):
        for name in _imported(node, package, module in DYNAMIC):
            if text := _import_problem(name, module, id(node) in delayed):
                yield getattr(node, "lineno", 0), text


def _delayed(node: ast.AST) -> list[ast.stmt]:
    """The statements inside a node that run later, or only in a type checker."""
    if isinstance(node, ast.If):
        return node.body if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING") else []
    return node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else []


def _imported(node: ast.AST, package: list[str], dynamic: bool) -> Iterator[str | None]:
    """Every dotted name that a node imports; None if it cannot be known."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = package[: len(package) - node.level + 1] if node.level else []
        whole = ".".join([*base, *([node.module] if node.module else [])])
        yield from (f"{whole}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in COMPUTED:
        by_path = getattr(node.func, "attr", "") == "spec_from_file_location"
        given = node.args[0] if node.args and not by_path else None
        if isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value[:1] != ".":
            yield given.value
        elif not dynamic:
            yield None


def _import_problem(name: str | None, module: str, delayed: bool) -> str | None:
    own = layer(module) or module
    if name is None:
        return "an import that cannot be resolved"
    top, *rest = name.split(".")
    if top != "intref":
        return _outside_problem(top, rest, own)
    target = layer(".".join(rest)) if rest else FACADE
    if target is None or target == FACADE:
        free = own.startswith(USERS_OF_FACADE) or rest == ["__version__"]
        return None if free and rest else f"{own} may not import {name}, only what {name} stands for"
    allowed = LAYERS[own] | (LAZY.get(own, set()) if delayed else set())
    at_top = " at its top" * (target in LAZY.get(own, ()))
    return None if target in allowed else f"{own} may not import {target}{at_top}"


def _outside_problem(top: str, rest: list[str], own: str) -> str | None:
    if top in ("numpy", "math") and strictness(own) != "float" and rest:
        if rest[0] not in INTEGER_NAMES | {"typing"} or rest[-1] not in INTEGER_NAMES | {"lib", "mixins", "typing"}:
            return f"float name {'.'.join((top, *rest))}"
    allowed = OUTSIDE.get(nearest(own, OUTSIDE) or "", {*STANDARD, "numpy", "math"})
    return None if top in allowed else f"{own} may not import {top}"
