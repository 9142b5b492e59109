"""A directed case of an op as a site of a profile has it: with what the lowering would give the op there."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from intref.errors import BoundError, SpecError
from intref.intmath import split_fp32
from intref.ops import OPS, Op
from intref.profiles.keys import NARROWED, PLAIN_AT, PRODUCT, READERS
from intref.quantize import scales
from intref.quantize.sites.gemmlowp import factors_once
from intref.quantize.sites.lowering import clip, container
from intref.quantize.sites.norm import factors
from intref.vectors import Case

Row = Mapping[str, Any]
Array = np.ndarray[Any, Any]
Given = dict[str, Any]  # to be changed in place: tensors or attributes

FARTHEST = PLAIN_AT["softmax"]["mask_value"]
BITS = 8  # of a site that says a clamp and no width
# The keys that no op is given: what they decide before there are integers. An op's vectors cannot show that, an output
# of a model does.
LOWERED = {
    "scale": "which scale a tensor gets",
    "bias_bits": "how coarse the weights' scale must be for the bias to fit",
    "zero_point": "where among the codes 0 lies",
    "output": "how many bits the entries of the table have",
}
# Of an op, where it has them.
ATTRIBUTES = ("rounding", *PRODUCT, "form", "halvings", "clip", "by", "order", "contract", "bits")
RANGE = ("clamp", "bits", "spare_bits")  # of an op with the attributes low and high
# What a site says of the product, the epilogue or the requantizer that its lowering puts beside an op without it.
BESIDE = {
    **dict.fromkeys(PRODUCT, "matmul"),
    **dict.fromkeys(("order", "contract"), "epilogue_fp32"),
    **dict.fromkeys(("rounding", "clamp", "multiplier_bits", "bits", "steps"), "rescale"),
}
# What a site says of the steps that its lowering puts before or behind an op, key -> ops; its vectors take them.
AROUND: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(NARROWED, READERS["norm"]["doublings"]),
    "fraction_bits": ("mean_pool",),
    "steps": ("rescale",),
    "constants": ("softmax_ibert", "softmax_log2_fqvit", "gelu_ibert"),
}
MASKED = ("mask", "mask_value")
TERMS = ("", "a_", "b_")  # of a port's name before multiplier and shift


def shown_by(op: str, key: str) -> str:
    """The op whose vectors show a key of a site; empty for a key of LOWERED."""
    if key in LOWERED:
        return ""
    if op == "add_gemmlowp":
        return "rescale" if key in ("clamp", "steps") else op
    if op in AROUND.get(key, ()) or key in MASKED or key in OPS[op].attrs:
        return op
    if (key in RANGE and "low" in OPS[op].attrs) or (key == "multiplier_bits" and [*_terms(OPS[op])]):
        return op
    if key == "clamp" and op == "epilogue_fp32":
        return "quantize_fp32"
    return BESIDE[key]


def at_site(op: Op, case: Case, row: Row) -> dict[str, Array] | None:
    """The outputs of a case whose rounding, clip, multipliers, accumulator and what else a site says are the site's.

    None where the site's rule does not allow the case's operands.
    """
    tensors, attrs = dict(case.tensors), dict(case.attrs)
    attrs |= {key: row[key] for key in ATTRIBUTES if key in row and key in op.attrs}
    try:
        if op.name == "add_gemmlowp":
            attrs |= _sum(attrs, row.get("multiplier_bits"))
        elif {"output", "low"} <= op.attrs.keys() and {*RANGE} & row.keys():
            bits = row.get("bits", BITS) + row.get("spare_bits", 0)
            attrs |= {"output": container(bits), **clip(bits, row.get("clamp", "full"))}
        for prefix in _terms(op):
            tensors |= _rescaled(prefix, case, attrs.get("rounding", ""), row.get("multiplier_bits", 31))
        if op.name in AROUND["constants"] and "constants" in row:
            _polynomial(op, tensors, attrs, row["constants"])
        if op.name in AROUND["doublings"] and "doublings" in row:
            _narrow(tensors, attrs, row)
        if op.name == "rescale" and row.get("steps") == 2:
            _first_step(tensors, attrs)
        if row.get("mask") == "add":
            _add_mask(tensors, row.get("mask_value", FARTHEST))
        if op.name in AROUND["fraction_bits"]:
            return _widened(tensors, row["fraction_bits"])
        return op.run(tensors, op.check(tensors, attrs))
    except (SpecError, BoundError):
        return None


def _run(name: str, tensors: Mapping[str, Any], **attrs: Any) -> dict[str, Array]:
    return OPS[name].run(tensors, OPS[name].check(tensors, attrs))


def _terms(op: Op) -> Iterator[str]:
    if "rounding" in op.attrs:
        yield from (prefix for prefix in TERMS if {f"{prefix}multiplier", f"{prefix}shift"} <= op.inputs.keys())


def _rescaled(prefix: str, case: Case, rounding: str, bits: int) -> dict[str, Array]:
    """The constants that stand for a case's ratio under another rule, or with a multiplier of fewer bits."""
    multiplier, shift = (case.tensors[f"{prefix}{port}"].astype(np.int64) for port in ("multiplier", "shift"))
    if case.attrs["rounding"] == rounding and bits == 31:
        return {}
    if case.attrs["rounding"] == "fp32_half_even":
        sign, significand, exponent = split_fp32(multiplier)
        ratio = sign * significand * 2.0**exponent
    else:
        ratio = multiplier * 2.0**-shift
    made = scales.rescaling(ratio, rounding, bits)
    return {f"{prefix}multiplier": made[0], f"{prefix}shift": made[1]}


def _sum(attrs: Mapping[str, Any], bits: int | None) -> dict[str, Any]:
    """add_gemmlowp: 16 bits with a case's constants, or 8 with the factors of `bits` bits that stand for its ratios."""
    if bits is None:
        return {"output": "int16", **clip(16, "full")}
    unit = attrs["multiplier"] * 2.0 ** (attrs["left_shift"] - attrs["shift"])
    a, b = (unit * attrs[f"{term}_multiplier"] * 2.0 ** -attrs[f"{term}_shift"] for term in "ab")
    if not 0 < max(a, b) < 2.0 ** (bits - 1):
        raise BoundError("a sum's factors are of no power of two of these bits")
    return {"output": "int8", **clip(8, "full"), **factors_once(a, b, 1.0, bits)}


def _polynomial(op: Op, tensors: Given, attrs: Given, constants: str) -> None:
    """The constants that a scale has which gives a case's own ln2 or b."""
    if "ln2" in attrs:
        made = scales.softmax_constants(float(np.float32(0.6931 / attrs["ln2"])), constants)
        attrs |= {name: value for name, value in made.items() if name in op.attrs}
    else:
        k = 1.769 / np.maximum(-tensors["b"].astype(np.float64), 1)
        tensors |= scales.gelu_constants((k * 1.4142).astype(np.float32), constants)[0]


def _narrow(tensors: Given, attrs: Given, row: Row) -> None:
    """A norm's input in `bits` bits, every channel with a power-of-two factor; a case's own values are its range."""
    x, bits, most = tensors["x"], int(row["bits"]), int(row["doublings"])
    peaks = np.abs(x.astype(np.float64)).reshape(-1, x.shape[-1]).max(axis=0)
    widest = scales.symmetric_range(bits)
    unit = max(float(peaks.max()), 1.0) / widest / 2**most
    doubled = factors(peaks, unit * widest, most)
    multiplier, shift = scales.rescaling(1 / (unit * 2.0**doubled), row["rounding"])
    given = {"output": container(bits), **clip(bits, "full")}
    small = _run("rescale", {"x": x, "multiplier": multiplier, "shift": shift}, rounding=row["rounding"], **given)["y"]
    tensors["x"] = small.astype(np.int32) << doubled.astype(np.int32)
    if "eps" in attrs:
        attrs["eps"] = round(attrs["eps"] / unit**2)
    else:
        centred = tensors["x"] - tensors["x"].mean(axis=-1, keepdims=True)
        attrs["shift"] = scales.norm_shift(float((centred * centred).sum(axis=-1).max()))


def _first_step(tensors: Given, attrs: Given) -> None:
    """A requantizer's first step is done; its second is what is left of the shift."""
    now, left = scales.two_steps(tensors["shift"])
    first = {name: attrs[name] for name in ("rounding", "input_zero_point", "axis") if name in attrs}
    made = _run("rescale", {**tensors, "shift": now.astype(np.int8)}, **first, output="int32")
    tensors |= {"x": made["y"], "multiplier": np.ones(len(left), np.int32), "shift": left.astype(np.int8)}
    attrs["input_zero_point"] = 0


def _add_mask(tensors: Given, value: int) -> None:
    """The scores of masked keys are lowered; then every key is attended to."""
    x, mask = tensors["x"], tensors["mask"]
    tensors |= {"x": _run("mask_add", {"x": x, "mask": mask}, value=value)["y"], "mask": np.ones_like(mask)}


def _widened(tensors: Given, fraction: int) -> dict[str, Array]:
    """mean_pool of an input with fraction bits, in units of the input."""
    one: dict[str, Array] = {"multiplier": np.array([1 << fraction], np.int32), "shift": np.zeros(1, np.int8)}
    x = _run("rescale", {"x": tensors["x"], **one}, rounding="half_even", output="int32")["y"]
    return {"y": _run("mean_pool", {**tensors, "x": x})["y"] / 2.0**fraction}
