"""Where no float may be made, read from source text: the names and the arithmetic that make one.

Everything here works on syntax trees alone, so that a rule holds for code that no test runs.
"""

import ast
import re
from collections.abc import Container, Iterator

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
            "audit_floats",
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


def strictness(module: str) -> str:
    """integer, files, seconds or float."""
    return STRICTNESS.get(nearest(module, STRICTNESS) or "", "integer")


def nearest(module: str, table: Container[str]) -> str | None:
    """The module itself, or the innermost of the packages around it, that a table names."""
    parts = module.split(".")
    return next((name for n in range(len(parts), 0, -1) if (name := ".".join(parts[:n])) in table), None)


def floats(tree: ast.Module, module: str) -> Iterator[tuple[int, str]]:
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
