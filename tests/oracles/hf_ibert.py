"""I-BERT's modules in Hugging Face transformers, in float64, at scales that are powers of two: nothing is rounded."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import intref
from intref.quantize import scales
from intref.quantize.scales import F32, dyadic
from oracles import Tally

ORACLE = "Hugging Face transformers, I-BERT modules"


def tallies() -> Iterator[Tally]:
    import torch
    import transformers
    from transformers.models.ibert import quant_modules

    version, before = f"{transformers.__version__}, torch {torch.__version__}", torch.get_default_dtype()
    try:
        for run in (_softmax, _gelu, _layernorm, _rescale, _add, _one):
            torch.set_default_dtype(torch.float32 if run is _one else torch.float64)
            with torch.no_grad():
                yield run(torch, quant_modules, version)
    finally:
        torch.set_default_dtype(before)


def integers(value: Any) -> np.ndarray:
    return np.rint(value.numpy()).astype(np.int64)


def _scores(draw: np.random.Generator, k: int) -> np.ndarray:
    """[B H Q K]: equal rows, steps of one and of ln 2, one dominant, anything."""
    x = draw.integers(-(1 << k + 3), 1 << k + 3, (8, 2, 16, 24))
    ln2 = max(round(0.6931 * 2**k), 1)
    x[0] = 0
    x[1] = -np.arange(24)
    x[2] = -np.arange(24) * ln2 + np.arange(16)[:, None] % 3 - 1
    x[3, ..., 1:] = x[3].min() - (40 << k)
    x[4] >>= 3
    return x


def _softmax(torch: Any, modules: Any, version: str) -> Tally:
    row = Tally("ibert", "softmax_ibert", ORACLE, version, "float64, S = 2**-k, k = 3..12")
    for k in range(3, 13):
        module, s = modules.IntSoftmax(8, quant_mode=True).eval(), torch.tensor(2.0**-k)
        constants = scales.softmax_constants(2.0**-k)
        out = float(F32(constants["c"] * 2.0**30 / 32767))  # the module's own scale is a float32
        module.act.x_max = torch.tensor(out * 32767)
        x = _scores(np.random.default_rng(k), k)
        want, scale = module(torch.tensor(x) * s, s)
        multiplier, shift = dyadic(1 / out)
        attrs = {**constants, "multiplier": int(multiplier[0]), "shift": int(shift[0])}
        tensors = {"x": x.astype(np.int32), "mask": np.ones((8, 24), np.int8)}
        paper = scales.softmax_constants(2.0**-k, "paper")
        shifted = {"one": 1 << k, "halvings": 15, "bits": 8, "form": "torch"}
        neighbours = {
            "ibert-paper": intref.call("softmax_ibert", tensors, paper)["p"],
            "ivit": intref.call("softmax_ivit", tensors, shifted)["p"] * 2,
        }
        row.compare(intref.call("softmax_ibert", tensors, attrs)["p"], integers(want / scale), neighbours)
    return row


def _gelu(torch: Any, modules: Any, version: str) -> Tally:
    row = Tally("ibert", "gelu_ibert", ORACLE, version, "float64, S = 2**-k, k = 6..15")
    for k in range(6, 16):
        module, s, top = modules.IntGELU(quant_mode=True), torch.tensor(2.0**-k), 6 << k
        inner = s / module.k
        constants = {
            "b": integers(torch.floor(module.coeff[1] / inner)).reshape(1),
            "c": integers(torch.floor(module.coeff[2] / inner**2)).reshape(1),
            "one": integers(1.0 // (inner**2 * module.coeff[0] * 2**14)).reshape(1),
        }
        cut = -int(constants["b"][0]) + np.arange(-3, 4)
        random = np.random.default_rng(k).integers(-top, top, 4000)
        x = np.concatenate([np.arange(-300, 301), cut, -cut, random, [top, -top]])
        want, scale = module(torch.tensor(x) * s, s)
        given = {"x": x.astype(np.int32), **constants}
        got = intref.call("gelu_ibert", given, {})["y"]
        b, c, one = (int(v[0]) for v in constants.values())
        poly = (np.minimum(abs(x), -b) + b) ** 2 + c
        cdf = np.sign(x) * (np.sign(poly) * (abs(poly) >> 14))
        row.compare(got, integers(want / scale), {"a polynomial shifted toward zero": x * (cdf + one)})
    return row


def _layernorm(torch: Any, modules: Any, version: str) -> Tally:
    row = Tally(
        "ibert", "layernorm_ibert", ORACLE, version, "float64; shifts 0 and 5, without zero variance (NaN there)"
    )
    for width, shift in ((2, 0), (3, 0), (16, 0), (64, 0), (384, 0), (256, 5)):
        draw = np.random.default_rng(width)
        module = modules.IntLayerNorm(width, 1e-5, quant_mode=True).eval()
        module.weight.data, module.bias.data = (torch.tensor(draw.normal(size=width)) for _ in range(2))
        module.shift = torch.tensor(float(shift))
        x = draw.integers(-(1 << 12 + shift), 1 << 12 + shift, (20, 7, width))
        x[0] >>= 8 + shift // 2
        x[1] = 1 << shift + 3  # a constant row but for one outlier
        x[:, :, 0] += x.std(-1).astype(np.int64) < 2 << shift  # and none without variance
        x[1, :, 0] = -(1 << 12 + shift)
        s = torch.tensor(2.0**-7)
        want, scale = module(torch.tensor(x) * s, s)
        bias = integers(torch.floor(module.bias / module.weight / (module.dim_sqrt / 2**30)).data)
        tensors = {"x": x.astype(np.int32), "bias": bias}
        got = intref.call("layernorm_ibert", tensors, {"shift": shift})["y"]
        kept = ~np.isnan(want.numpy()).any(-1)
        neighbours = {"ivit": intref.call("layernorm_ivit", tensors, {"form": "torch"})["y"][kept]}
        row.compare(got[kept], integers(want / scale)[kept], neighbours)
    return row


def _terms(draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Operands [1 50 64], the first rows small enough to be ties, and their scales [64]."""
    x = draw.integers(-(1 << 21), 1 << 21, (1, 50, 64))
    x[0, :8] = draw.integers(-9, 10, (8, 64))
    return x, 2.0 ** draw.integers(-12, -4, 64)


def _scales(draw: np.random.Generator) -> tuple[float, ...]:
    """Scales of the result: powers of two, that make ties, and any."""
    return 2.0**-4, 2.0**-7, 2.0**-11, *(float(F32(s)) for s in draw.uniform(2.0**-9, 0.1, 3))


def _rescale(torch: Any, modules: Any, version: str) -> Tally:
    row = Tally("ibert", "rescale", ORACLE, version, "FixedPointMul, one term; 8 and 16 bits")
    for bits in (8, 16):
        draw, n = np.random.default_rng(bits), (1 << bits - 1) - 1
        for out in _scales(draw):
            x, s = _terms(draw)
            want = modules.FixedPointMul.apply(torch.tensor(x * s), torch.tensor(s), bits, torch.tensor([out]))
            multiplier, shift = dyadic(s / out)
            tensors = {"x": x.astype(np.int32), "multiplier": multiplier, "shift": shift}
            attrs = {"rounding": "half_even", "output": "int32", "low": -n - 1, "high": n}
            rules = ("half_up", "half_away", "floor")
            other = {rule: intref.call("rescale", tensors, {**attrs, "rounding": rule})["y"] for rule in rules}
            row.compare(intref.call("rescale", tensors, attrs)["y"], integers(want), other)
    return row


def _add(torch: Any, modules: Any, version: str) -> Tally:
    row = Tally("ibert-hf", "add", ORACLE, version, "FixedPointMul, two terms, the 22 bits of a norm's input: clamped")
    draw, n = np.random.default_rng(22), (1 << 21) - 1
    for out in _scales(draw):
        (x, sx), (y, sy) = _terms(draw), _terms(draw)
        x[0, 8:16] <<= 3
        given = [torch.tensor(v) for v in (x * sx, sx)]
        want = modules.FixedPointMul.apply(*given, 22, torch.tensor([out]), torch.tensor(y * sy), torch.tensor(sy))
        tensors = {"a": x.astype(np.int32), "b": y.astype(np.int32)}
        tensors["a_multiplier"], tensors["a_shift"] = dyadic(sx / out)
        tensors["b_multiplier"], tensors["b_shift"] = dyadic(sy / out)
        attrs = {"rounding": "half_even", "output": "int32", "low": -n - 1, "high": n}
        loose = {**attrs, "low": -8 * n - 8, "high": 8 * n + 7}
        others = {"ibert": loose, **{rule: {**attrs, "rounding": rule} for rule in ("half_up", "half_away")}}
        neighbours = {name: intref.call("add", tensors, a)["y"] for name, a in others.items()}
        row.compare(intref.call("add", tensors, attrs)["y"], integers(want), neighbours)
    return row


def _one(torch: Any, modules: Any, version: str) -> Tally:
    """The constant `one`, at random scales of float32, where its exact floor and the floor of its fp32 part."""
    row = Tally("ibert-hf", "gelu_ibert", ORACLE, version, "the constant one, float32, below 2**24")
    module = modules.IntGELU(quant_mode=True)
    s = (2.0 ** np.random.default_rng(1).uniform(-13, -4, 40000)).astype(F32)
    _, erf = module.int_erf(torch.zeros(len(s)), torch.tensor(s) / module.k)
    ours, code = (scales.gelu_constants(s, constants)[0]["one"] for constants in ("exact", "code"))
    kept = np.abs(ours) < 1 << 24
    row.compare(ours[kept], integers(1.0 // erf)[kept], {"ibert": code[kept]})
    return row
