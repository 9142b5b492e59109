"""Random calls of softmaxes, norms and functions of one element."""

import numpy as np

from intref.ops.op import dtype_range
from intref.vectors.drawn.chance import Chance
from intref.vectors.drawn.products import Call

M31 = (1 << 31) - 1


def _scores(c: Chance, low: int, high: int) -> dict[str, np.ndarray]:
    """x and mask of a softmax: rows around one another, by every distance."""
    b, h, q, k = c.size("B", 3), c.size("H", 5), c.size("Q", 5), c.size("K", 65)
    x = c.filled("int32", (b, h, q, k), low, high)
    mask = c.mask((b, q, k) if c.word() % 2 else (b, k))
    return {"x": x, "mask": mask}


def softmax_ibert(c: Chance) -> Call:
    """Constants of every scale inside the contract; distances of up to thirty halvings."""
    ln2 = c.wide(1, 1 << 16)
    b = min(ln2 * c.number(1, 4) + c.number(0, 3), 1 << 25, (1 << 32) // ln2)
    c_low = b * ln2
    constant = min(c_low + c.wide(0, c_low + 9), 1 << 32)
    multiplier = c.wide(1, M31)
    least = max((constant * multiplier << 30).bit_length() - 62, 0)
    shift = c.number(min(least, 94), min(least + 60, 94)) if c.word() % 4 == 0 else min(least + 47, 94)
    tensors = _scores(c, -(1 << 31), M31) if c.word() % 4 == 0 else _scores(c, -33 * ln2, 0)
    return tensors, {"ln2": ln2, "b": b, "c": constant, "multiplier": multiplier, "shift": shift}


def softmax_exp2(c: Chance) -> Call:
    """Tables that fall as 2**-x does and tables of anything; scales of every length."""
    tensors = _scores(c, -(1 << 30), 1 << 30) if c.word() % 2 else _scores(c, -(1 << 20), 0)
    heads = tensors["x"].shape[1]
    falling = (1 << 30) - np.arange(257, dtype=np.int64) * (1 << 21)
    table = falling if c.word() % 2 else c.widely(0, 1 << 30, 257)
    tensors["multiplier"], tensors["shift"] = c.filled("int32", heads, 0), c.uniform(0, 62, heads, "int8")
    tensors["table"] = table.astype(np.int32)
    return tensors, {}


def mask_add(c: Chance) -> Call:
    """Scores anywhere, or about the low clip."""
    value = c.wide(-(1 << 30), -1)
    tensors = _scores(c, -(1 << 31), M31) if c.word() % 2 else _scores(c, -(1 << 31), -(1 << 31) - 2 * value)
    return tensors, {"value": value}


def _rows(c: Chance, bits: int, dtype: str = "int32") -> np.ndarray:
    """Rows of one magnitude each, some with an outlier, some around a mean."""
    lead, width = (c.lead() or (1,)), c.size("D")
    drop, mean = c.uniform(0, bits, (*lead, 1)), c.widely(-(1 << bits - 1), 1 << bits - 1, (*lead, 1))
    x = c.filled("int64", (*lead, width), -(1 << bits - 1), 1 << bits - 1) >> drop
    x = np.where(c.uniform(0, 1, (*lead, 1)) > 0, x, x + mean)
    low, high = dtype_range(dtype)
    return np.clip(np.clip(x, -(1 << bits), 1 << bits), low, high).astype(dtype)


def layernorm_ibert(c: Chance) -> Call:
    x = _rows(c, 25)
    if x.shape[-1] > 1024:
        x >>= 1  # or C5 refuses the sum of squares
    bias = c.widely(-(1 << 60), 1 << 60, x.shape[-1]) if c.word() % 2 else c.widely(-(1 << 40), 1 << 40, x.shape[-1])
    return {"x": x, "bias": bias}, {"shift": c.number(0, 16)}


def layernorm_fixed(c: Chance) -> Call:
    x, shift = _rows(c, 23), c.number(1, 60)
    gain, bias = c.filled("int32", x.shape[-1]), c.widely(-(1 << 60), 1 << 60, x.shape[-1])
    ends = sorted(int(v) for v in c.widely(*dtype_range("int32"), 2)) if c.word() % 2 else dtype_range("int32")
    return {"x": x, "gain": gain, "bias": bias >> c.number(0, 40)}, {
        "eps": c.wide(0, 1 << 60),
        "shift": shift,
        "low": ends[0],
        "high": ends[1],
    }


def l2_normalize(c: Chance) -> Call:
    return {"x": _rows(c, 23, c.pick(("int8", "int16", "int32")))}, {"fraction": c.number(1, 30)}


def gelu_ibert(c: Chance) -> Call:
    """Constants alone or per channel, x near the cut at -b."""
    width = c.size("D")
    many = width if c.fixed or c.word() % 2 else 1
    b, constant = c.widely(-(1 << 22), 0, many), c.widely(-(1 << 42), 1 << 42, many)
    one = c.widely(-(1 << 28), 1 << 28, many)
    near = -b + c.uniform(-2, 2, (*c.lead(), width))
    x = c.widely(-(1 << 29), 1 << 29, near.shape)
    x = np.where(c.uniform(0, 1, near.shape) > 0, near * np.where(x < 0, -1, 1), x)
    return {"x": x.astype(np.int32), "b": b, "c": constant, "one": one}, {}


def gelu_table(c: Chance) -> Call:
    fraction = c.number(6, 23)
    most = min(9 << fraction, 1 << 23)
    x = c.filled("int32", (*c.lead(), c.size("T")), -most, most)
    return {"x": x, "table": c.filled("int32", 513, 0, 1 << 22)}, {"fraction": fraction}


def table(c: Chance) -> Call:
    entries = c.filled(c.pick(("int8", "int16", "int32")), 256)
    return {"x": c.filled("int8", (*c.lead(), c.size("T"))), "entries": entries}, {}


DRAWS = {
    f.__name__: f
    for f in (
        softmax_ibert,
        softmax_exp2,
        mask_add,
        layernorm_ibert,
        layernorm_fixed,
        l2_normalize,
        gelu_ibert,
        gelu_table,
        table,
    )
}
