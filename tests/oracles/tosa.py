"""The TOSA reference model: RESCALE in all its modes, MATMUL with zero points, TABLE.

`tosa-tools` pins packages that others do not, so it has a Python of its own: INTREF_TOSA_PYTHON names it, or
tosa_reference_model lies beside it on PATH. Inputs for which TOSA calls the result unpredictable are left out, as
exact integers tell: the model wraps int32 there and says nothing.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from intref import call
from oracles import Tally

RUNNER = Path(__file__).parent.with_name("tosa_runner.py")
INT32 = (-(1 << 31), (1 << 31) - 1)
MULTIPLIERS = (1 << 30, (1 << 31) - 1, 3 << 29, (1 << 30) + 1, 1518500250, 12345, 1, 0)
RULES = {"half_up": 1, "tosa_double": 3}
PAIRS = [*product(("int8", "int16", "int32"), repeat=2)]
# (stored dtype, unsigned) of x and of y: TOSA has uint8 and uint16 on this op alone.
UNSIGNED = (
    *((("int8", True), ("int8", False)), (("int8", False), ("int8", True)), (("int16", True), ("int16", False))),
    *((("int16", False), ("int16", True)), (("int8", True), ("int16", False)), (("int16", False), ("int8", True))),
)


def python() -> str:
    """The Python that has the reference model."""
    beside = shutil.which("tosa_reference_model")
    found = os.environ.get("INTREF_TOSA_PYTHON") or (beside and str(Path(beside).with_name("python")))
    if not found:
        words = "the TOSA reference model is absent: INTREF_TOSA_PYTHON names the Python that has tosa-tools"
        raise ImportError(words, name="tosa_reference_model")
    return found


def answers(jobs: list[dict[str, Any]]) -> tuple[str, list[Any]]:
    """(version, what the reference model gives for each job: int64, None where it refuses one)."""
    given = {f"{i}.{name}": value for i, job in enumerate(jobs) for name, (value, _) in job["operands"].items()}
    described = [
        {k: v for k, v in job.items() if k != "operands"} | {"dtypes": {n: t for n, (_, t) in job["operands"].items()}}
        for job in jobs
    ]
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("jobs.npz", "answers.npz")]
        np.savez(paths[0], jobs=json.dumps(described), **given)
        done = subprocess.run([python(), str(RUNNER), *paths], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-2000:])
        with np.load(paths[1]) as file:
            return str(file["version"]), [file[str(i)] if str(i) in file else None for i in range(len(jobs))]


def _ends(dtype: str, unsigned: bool = False) -> tuple[int, int]:
    info = np.iinfo(f"u{dtype}" if unsigned else dtype)
    return int(info.min), int(info.max)


def _aimed(rng: Any, low: int, high: int, m: int, s: int, ends: tuple[int, int], zeros: tuple[int, int]) -> list[int]:
    """Values at and beside ties of both signs and parities, either side of each clip, both ends, and any others."""
    goals = [2 * k + 1 for k in range(-7, 8)]  # halves
    goals += [2 * (end - zeros[1]) + d for end in ends for d in (-3, -2, -1, 0, 1, 2, 3)]
    near = [(goal << s - 1) // m + d for goal in goals for d in (0, 1)] if m else []
    found = [v + zeros[0] for v in near]
    found += [low, high, low + 1, high - 1, *zeros, zeros[0] + 1, zeros[0] - 1]
    return [v if low <= v <= high else int(rng.integers(low, high, endpoint=True)) for v in found]


def _predictable(v: int, m: int, s: int, scale32: bool, zero: int) -> bool:
    """What TOSA requires of a value: its range before, and that the scaled one and that plus its zero are int32."""
    y = (v * m + (1 << s - 1)) >> s
    held = not scale32 or -(1 << s - 1) <= v < 1 << s - 1
    return held and INT32[0] + 1 <= min(y, y + zero) and max(y, y + zero) <= INT32[1] - 1


def _rescale(
    rule: str, scale32: bool, x_type: tuple[str, bool], y_type: tuple[str, bool], zeros: tuple[int, int], seed: int
) -> dict[str, Any]:
    """One job: a channel for every shift and multiplier."""
    rng = np.random.default_rng(seed)
    wide = x_type[0] == "int48"
    low, high = (-(1 << 47), (1 << 47) - 1) if wide else _ends(*x_type)
    ends = _ends(*y_type)
    scales = [(m if scale32 else m >> 16, s) for s in range(2, 63) for m in MULTIPLIERS]
    columns = []
    for m, s in scales:
        aimed = _aimed(rng, low, high, m, s, ends, zeros)
        columns.append([v if _predictable(v - zeros[0], m, s, scale32, zeros[1]) else zeros[0] for v in aimed])
    rows = max(map(len, columns))
    x = np.array([[*column, *[zeros[0]] * (rows - len(column))] for column in columns]).T
    multiplier, shift = (np.array(v) for v in zip(*scales))
    types = {"x": x_type[0].upper(), "y": y_type[0].upper()}
    operands = {
        "x": (x, types["x"]),
        "multiplier": (multiplier, "INT32" if scale32 else "INT16"),
        "shift": (shift, "INT8"),
        "x_zero": (np.array([zeros[0]]), types["x"]),
        "y_zero": (np.array([zeros[1]]), types["y"]),
    }
    if x_type[1]:
        operands |= {k: (operands[k][0].astype(x_type[0]), types["x"]) for k in ("x", "x_zero")}
    if y_type[1]:
        operands["y_zero"] = (np.array([zeros[1]]).astype(y_type[0]), types["y"])
    attrs = [scale32, RULES[rule], True, x_type[1], y_type[1]]
    ours = {"x": x, "multiplier": multiplier, "shift": shift, "zeros": zeros, "ends": ends, "y_type": y_type}
    job = {"op": "RESCALE", "operands": operands, "shape": list(x.shape), "output": types["y"], "attrs": attrs}
    return {"job": job, "rule": rule, "scale32": scale32, **ours}


def _ours(case: dict[str, Any], rule: str) -> Any:
    narrow = "int32" if INT32[0] <= case["x"].min() and case["x"].max() <= INT32[1] else "int64"
    tensors = {"x": case["x"].astype(narrow), "multiplier": case["multiplier"].astype(np.int32)}
    tensors["shift"] = case["shift"].astype(np.int8)
    attrs = {"rounding": rule, "input_zero_point": case["zeros"][0], "output_zero_point": case["zeros"][1]}
    clip = {
        "output": "uint8" if case["y_type"] == ("int8", True) else "int32",
        "low": case["ends"][0],
        "high": case["ends"][1],
    }
    return call("rescale", tensors, {**attrs, **clip}, "fast")["y"]


def _rescale_cases() -> Iterator[dict[str, Any]]:
    seed = 0
    for x, y in PAIRS:
        zeros = {(0, 0), *((-7, 5), (-128, 127), (3, 0), (0, -9))}  # TOSA has them for int8 alone
        for zero in sorted(z for z in zeros if (x == "int8" or not z[0]) and (y == "int8" or not z[1])):
            for rule, scale32 in (("half_up", True), ("tosa_double", True), ("half_up", False)):
                yield _rescale(rule, scale32, (x, False), (y, False), zero, seed := seed + 1)
    for y in ("int8", "int16", "int32"):
        yield _rescale("half_up", False, ("int48", False), (y, False), (0, 0), seed := seed + 1)
    for x, y in UNSIGNED:
        zeros = [128 if t == ("int8", True) else 32768 if t == ("int16", True) else 0 for t in (x, y)]
        for rule, scale32 in (("half_up", True), ("tosa_double", True), ("half_up", False)):
            yield _rescale(rule, scale32, x, y, (zeros[0], zeros[1]), seed := seed + 1)


def rescale() -> Iterator[Tally]:
    cases = [*_rescale_cases()]
    version, found = answers([case["job"] for case in cases])
    note = "without inputs for which TOSA calls the result unpredictable"
    names = {
        ("half_up", True): "single",
        ("tosa_double", True): "double (gemmlowp_double on all of these)",
        ("half_up", False): "16-bit multiplier",
    }
    tallies = {
        key: Tally("tosa", "rescale", "TOSA reference model", version, f"{words}; {note}")
        for key, words in names.items()
    }
    for case, theirs in zip(cases, found):
        assert theirs is not None, case["job"]["attrs"]
        dtype, unsigned = case["y_type"]
        read = theirs.astype(dtype).view(f"u{dtype}") if unsigned else theirs
        others = {"half_up", "half_even", "half_away", "half_down", "floor", "toward_zero"} - {case["rule"]}
        if case["scale32"]:
            others |= {"tosa_double"} - {case["rule"]}
        neighbours = {rule: _ours(case, rule) for rule in sorted(others)}
        tallies[case["rule"], case["scale32"]].compare(_ours(case, case["rule"]), read, neighbours)
    yield from tallies.values()


def _matmul_job(a: Any, b: Any, zeros: tuple[int, int], dtype: str) -> dict[str, Any]:
    operands = {"a": (a, dtype), "b": (b, dtype), "a_zero": (np.array([zeros[0]]), dtype)}
    operands["b_zero"] = (np.array([zeros[1]]), dtype)
    output = "INT32" if dtype == "INT8" else "INT48"
    shape = [*a.shape[:2], b.shape[2]]
    return {"op": "MATMUL", "operands": operands, "shape": shape, "output": output, "attrs": []}


def _long(a: int, b: int, k: int) -> tuple[Any, Any]:
    return np.full((1, 1, k), a), np.full((1, k, 1), b)


def matmul() -> Iterator[Tally]:
    rng = np.random.default_rng(7)
    made: list[tuple[Any, Any, tuple[int, int], str]] = []
    for dtype, zeros in product(("int8", "int16"), ((0, 0), (-128, 127), (5, -9), (127, -128))):
        low, high = _ends(dtype)
        for m, k, n in ((31, 33, 40), (1, 1, 1), (65, 257, 32)):
            a, b = (rng.integers(low, high, shape, endpoint=True) for shape in ((2, m, k), (2, k, n)))
            made.append((a, b, zeros if dtype == "int8" else (0, 0), dtype))
    # Sums of 32 bits: 33025 * 255**2 of either sign; of 43 bits: 4097 * 2**30.
    made += [(*_long(-128, b, 33025), (127, -128 if b > 0 else 127), "int8") for b in (127, -128)]
    made += [(*_long(-(1 << 15), b, 4097), (0, 0), "int16") for b in (-(1 << 15), (1 << 15) - 1)]
    version, found = answers([_matmul_job(a, b, zeros, dtype.upper()) for a, b, zeros, dtype in made])
    tallies = {
        dtype: Tally("tosa", "matmul", "TOSA reference model", version, f"{dtype} to {to}")
        for dtype, to in (("int8", "int32"), ("int16", "int48"))
    }
    for (a, b, zeros, dtype), theirs in zip(made, found):
        assert theirs is not None, (a.shape, zeros, dtype)
        attrs = {"a_zero_point": zeros[0], "b_zero_point": zeros[1], "accumulator": 32 if dtype == "int8" else 48}
        tensors = {"a": a.astype(dtype), "b": b.astype(dtype)}
        ours = call("matmul", tensors, attrs, "fast")["y"]
        exact = np.matmul(a.astype(object) - zeros[0], b.astype(object) - zeros[1])
        assert np.array_equal(ours, exact)
        narrow = {how: {"overflow": how, "accumulator": 24 if dtype == "int8" else 32} for how in ("saturate", "wrap")}
        neighbours = {f"{how}, narrower": call("matmul", tensors, attrs | more)["y"] for how, more in narrow.items()}
        if dtype == "int8":
            neighbours["no zero points"] = np.matmul(a, b)
        tallies[dtype].compare(ours, theirs, neighbours)
    tallies["int8"].note += f"; {_beyond_int32()}"
    yield from tallies.values()


def _beyond_int32() -> str:
    """What the model makes of a sum that int32 does not hold; ours is the exact one, refused or in more bits."""
    a, b = _long(-128, -128, 33026)
    attrs = {"a_zero_point": 127, "b_zero_point": 127, "accumulator": 48}
    exact = int(call("matmul", {"a": a.astype(np.int8), "b": b.astype(np.int8)}, attrs)["y"][0, 0, 0])
    assert exact == 33026 * 255**2 > INT32[1]
    theirs = answers([_matmul_job(a, b, (127, 127), "INT8")])[1][0]
    return f"{exact}, which int32 does not hold, is {'refused' if theirs is None else int(theirs[0, 0, 0])} there"


def table() -> Iterator[Tally]:
    rng = np.random.default_rng(9)
    every = {dtype: np.arange(*_ends(dtype)) for dtype in ("int8", "int16")}
    every = {dtype: np.append(x, _ends(dtype)[1]) for dtype, x in every.items()}
    smooth = [np.cumsum(rng.integers(-d, d, 513, endpoint=True)) for d in (3, 90, 1000)]
    tables = [("int8", rng.integers(-128, 127, 256, endpoint=True)), ("int8", np.arange(127, -129, -1))]
    tables += [("int16", np.clip(t, -(1 << 15), (1 << 15) - 1)) for t in smooth]
    steps = np.array([0, (1 << 15) - 1, 0, -(1 << 15), -1])
    tables += [("int16", np.resize(steps, 513)), ("int16", np.arange(-256, 257) * 127)]
    jobs = [
        {
            "op": "TABLE",
            "operands": {"x": (every[dtype], dtype.upper()), "entries": (entries, dtype.upper())},
            "shape": [len(every[dtype])],
            "output": "INT8" if dtype == "int8" else "INT32",
            "attrs": [],
        }
        for dtype, entries in tables
    ]
    version, found = answers(jobs)
    tallies = {
        "int8": Tally("tosa", "table", "TOSA reference model", version, "every int8"),
        "int16": Tally("tosa", "table_tosa", "TOSA reference model", version, "every int16"),
    }
    for (dtype, entries), theirs in zip(tables, found):
        assert theirs is not None, dtype
        tensors = {"x": every[dtype].astype(dtype), "entries": entries.astype(dtype)}
        ours = call("table" if dtype == "int8" else "table_tosa", tensors, {}, "fast")["y"]
        if dtype == "int8":
            neighbours = {
                "index as uint8": entries[every[dtype] % 256],
                "one entry late": entries[np.maximum(every[dtype] + 127, 0)],
            }
        else:
            cell = (every[dtype] >> 7) + 256
            nearest = np.where(every[dtype] % 128 < 64, entries[cell], entries[cell + 1]) << 7
            neighbours = {"no interpolation": entries[cell] << 7, "nearest entry": nearest}
            neighbours["7 bits dropped"] = ours >> 7 << 7
        tallies[dtype].compare(ours, theirs, neighbours)
    yield from tallies.values()


def tallies() -> Iterator[Tally]:
    """RESCALE by mode, MATMUL and TABLE by dtype."""
    yield from rescale()
    yield from matmul()
    yield from table()
