"""The house rules read from source text: who may import whom, and where no float may be made.

Everything here works on syntax trees alone, so that a rule holds for code that no test runs. `problems` is for the
check of a checkout, `float_problems` for the audit of an installed package.
"""

import ast
import re
from collections.abc import Container, Iterator
from pathlib import Path

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
    "profiles": {*BASE, "intmath", "ops"},
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
    "quantize": {*GRAPH, "proof", "builder", "modelfile", "run", "checkpoint", "quantize"},
    "dialects": {*RUN, "vectors", "golden", "checkpoint", "quantize", "dialects"},
    "importing": {*RUN, "builder", "importing"},
    "audit_source": set(),
    "audit": {*TESTED, "element", "audit_source", "audit"},
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

# How strictly a module is kept from floats: "integer" (the default), "files" (paths may be joined by /), "seconds"
# (files, and float literals and annotations, for timeouts), "float" (anything).
TIMED = ("devices", "verify.verdict", "verify.bench")
STRICTNESS = {
    **dict.fromkeys(
        ("profiles", "golden", "rtl", "explain", "report", "verify", "minimize", "selftest", "testing", "element"),
        "files",
    ),
    **dict.fromkeys(TIMED, "seconds"),
    **dict.fromkeys(
        (
            "display",
            "builder",
            "pages",
            "checkpoint",
            "quantize",
            "dialects",
            "importing",
            "audit_source",
            "audit",
            "demo",
            "cli",
        ),
        "float",
    ),
    "demo.device": "integer",
    "demo.gpu": "integer",
}
# Only these names of numpy and math are integer whatever integers they are given.
INTEGER_NAMES = set(
    """
    format ndarray generic dtype iinfo integer bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 asarray
    ascontiguousarray array empty zeros full ones zeros_like ones_like full_like empty_like arange tile repeat
    frombuffer from_dlpack broadcast broadcast_to broadcast_arrays broadcast_shapes moveaxis swapaxes transpose
    lib roll flip resize shape stack concatenate expand_dims ravel ndindex unravel_index require frompyfunc where take
    load savez errstate
    add subtract multiply matmul negative floor_divide left_shift right_shift bitwise_and bitwise_or bitwise_xor
    packbits maximum minimum clip square abs absolute sign greater greater_equal less less_equal equal any all
    array_equal argmax argmin argwhere argsort flatnonzero count_nonzero unique cumsum prod newaxis
    shares_memory isqrt gcd comb resize unpackbits NDArrayOperatorsMixin NDArray
    """.split()
)
# Names and attributes that are floats, or make them, whatever they are taken from.
FLOAT_NAMES = {"float", "complex", "fastmath"}
FLOAT_METHODS = {"mean", "std", "var", "average", "median", "quantile", "percentile", "log2", "sqrt", "exp2"}
FLOAT_METHODS |= {"true_divide", "truediv", "random", "linspace", "__truediv__", "__rtruediv__", "__float__"}
NEED_DTYPE = {"empty": 1, "zeros": 1, "ones": 1, "ndarray": 1}  # float64 by default; the position of dtype
COMPUTED = {"import_module", "__import__", "exec", "eval", "spec_from_file_location"}
FLOAT_DTYPE = re.compile(r"[<>=|]?[fc]\d+|[<>=|][efdgFDG]|b?float\d*|complex\d*")
SIGNATURE = re.compile(r"\b(float|double|complex|f)\d+\b\s*[(,)]|\((float|double)")
# Words and letters that are float dtypes where a dtype is wanted, and words like others elsewhere.
WORDS = {"half", "single", "double", "longdouble", "cdouble", "clongdouble", *"efdgFDG"}
TAKE_DTYPE = {*NEED_DTYPE, "astype", "view", "dtype", "array", "asarray", "ascontiguousarray", "arange", "frombuffer"}
TAKE_DTYPE |= {
    "reduce",
    "accumulate",
    "cast",
    "full",
    "require",
    "full_like",
    "zeros_like",
    "ones_like",
    "empty_like",
    "cumsum",
    "prod",
    "sum",
}


def layer(module: str) -> str | None:
    """The row of LAYERS that a dotted module name (without intref) falls under; None if it is not listed."""
    return _nearest(module, LAYERS)


def strictness(module: str) -> str:
    """integer, files, seconds or float."""
    return STRICTNESS.get(_nearest(module, STRICTNESS) or "", "integer")


def _nearest(module: str, table: Container[str]) -> str | None:
    """The module itself, or the innermost of the packages around it, that a table names."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in table), None)


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
        found = sorted(_floats(ast.parse(path.read_text(encoding="utf-8")), module))
        yield from (f"{path}:{line}: {text}" for line, text in found)


def scan(source: str, module: str, is_package: bool = False) -> list[str]:
    """The problems of one module's source text, as `line: what`."""
    tree = ast.parse(source)
    found = sorted([*_import_problems(tree, module, is_package), *_floats(tree, module)])
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
    allowed = OUTSIDE.get(_nearest(own, OUTSIDE) or "", {*STANDARD, "numpy", "math"})
    return None if top in allowed else f"{own} may not import {top}"


def _floats(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
    level = strictness(module)
    if level == "float":
        return
    arrays = _arrays(tree)
    texts = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    for node in ast.walk(tree):
        text = _arithmetic(node, level) or _name(node, arrays, level) or (id(node) not in texts and _text(node, module))
        if text:
            yield getattr(node, "lineno", 0), text


def _arrays(tree: ast.Module) -> set[str]:
    """The names under which a module knows numpy and math."""
    imports = (a for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names)
    return {a.asname or a.name for a in imports if a.name.split(".")[0] in ("numpy", "math")}


def _arithmetic(node: ast.AST, level: str) -> str | None:
    match node:
        case ast.Constant(float() | complex() as value) if level != "seconds" or isinstance(value, complex):
            return f"float literal {value}"
        case ast.AugAssign(op=ast.Div()):
            return "true division"
        case ast.BinOp(left, ast.Div(), right) if not _joins_paths(left, right, level):
            return "true division"
        case ast.BinOp(left, ast.Pow(), right) | ast.Call(ast.Name("pow"), [left, right]):
            return None if _power_of_integers(left, right, level) else "a power that may be no integer"
    return None


def _joins_paths(left: ast.expr, right: ast.expr, level: str) -> bool:
    """Whether left / right looks like a path and its part: never where arithmetic or a number stands on a side."""
    if level == "integer":
        return isinstance(right, ast.JoinedStr) or (isinstance(right, ast.Constant) and isinstance(right.value, str))
    number = isinstance(right, ast.Constant) and not isinstance(right.value, str)
    if level == "seconds" and number:
        return True
    if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Div):
        return not number and _joins_paths(left.left, left.right, level)
    return not number and not isinstance(left, ast.BinOp | ast.UnaryOp | ast.Constant)


def _power_of_integers(left: ast.expr, right: ast.expr, level: str) -> bool:
    if isinstance(right, ast.Constant):
        return type(right.value) is int
    exact = isinstance(left, ast.Call) and getattr(left.func, "id", "") == "Fraction"
    return exact or (level != "integer" and not isinstance(right, ast.UnaryOp))


def _name(node: ast.AST, arrays: set[str], level: str) -> str | None:
    match node:
        case ast.Name("float") if level == "seconds":
            return None
        case ast.Attribute(ast.Name(of), name) if of in arrays and name not in INTEGER_NAMES:
            return f"float name {of}.{name}"
        case ast.Attribute(_, name) | ast.Name(name) | ast.keyword(name) if name in FLOAT_NAMES:
            return f"float name {name}"
        case ast.Attribute(_, name) if name in FLOAT_METHODS or FLOAT_DTYPE.fullmatch(name):
            return f"float name {name}"
        case ast.Call(ast.Name("getattr" | "vars" as function), [ast.Name(of), *_]) if of in arrays:
            return f"{function} of {of}"
        case ast.Call(ast.Attribute(ast.Name(of), name), args, keywords) if of in arrays and name in NEED_DTYPE:
            if len(args) <= NEED_DTYPE[name] and "dtype" not in (k.arg for k in keywords):
                return f"{of}.{name} without a dtype makes floats"
        case ast.Call(ast.Attribute(ast.Name(of)), [ast.List([]) | ast.Tuple([])], []) if of in arrays:
            return f"{of}: an empty list without a dtype makes floats"
    return None


def _text(node: ast.AST, module: str) -> str | None:
    """A float dtype in quotes."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        signature = module.startswith("kernels") and SIGNATURE.search(node.value)
        return f"float dtype {node.value!r}" if FLOAT_DTYPE.fullmatch(node.value) or signature else None
    if isinstance(node, ast.Call):
        takes = getattr(node.func, "attr", getattr(node.func, "id", "")) in TAKE_DTYPE
        given = [*(node.args if takes else ()), *(k.value for k in node.keywords if takes or k.arg == "dtype")]
        words = (a.value for a in given if isinstance(a, ast.Constant) and isinstance(a.value, str))
        return next((f"float dtype {word!r}" for word in words if word in WORDS), None)
    return None
