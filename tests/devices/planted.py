"""Devices with one bug each, written by hand from the ops' formulas: none of this code knows the catalogue of faults.

A device answers its own op and says that it has no other. The first part of a name is the op.
"""

import numpy as np

import intref


def only(name):
    """A device of one op: makes a device of a function of inputs and attributes."""

    def wrap(function):
        def device(op, inputs, attrs):
            if op != name:
                return None
            made = function({k: t.astype(np.int64) for k, t in inputs.items()}, attrs, inputs)
            return made

        return device

    return wrap


def right(op, inputs, attrs):
    return intref.call(op, inputs, attrs)


def spread(t, x, axis):
    laid = [1] * x.ndim
    laid[axis] = -1
    return t.reshape(laid)


def rescaled(t, a, round_value, finish=None):
    """rescale on Python integers, whose rounding is round_value(numerator, denominator)."""
    if a["rounding"] in ("gemmlowp_double", "tosa_double", "fp32_half_even"):
        return None
    x = t["x"].astype(object) - a["input_zero_point"]
    m, s = (np.broadcast_to(spread(t[k].astype(object), x, a["axis"]), x.shape) for k in ("multiplier", "shift"))
    y = np.frompyfunc(lambda x, m, s: round_value(x * m, 1 << s), 3, 1)(x, m, s) + a["output_zero_point"]
    if finish is not None:
        y = finish(y)
    else:
        y = np.minimum(np.maximum(y, a["low"]), a["high"])
    return {"y": y.astype(np.int64).astype(a["output"])}


def floor(n, d):
    return n // d


def half_up(n, d):
    return (2 * n + d) // (2 * d)


def half_away(n, d):
    return half_up(n, d) if n >= 0 else -half_up(-n, d)


def half_even(n, d):
    q, r = divmod(n, d)
    return q + (2 * r > d or (2 * r == d and q % 2))


@only("rescale")
def rescale_ties_away(t, a, raw):
    """half_even was asked for."""
    return rescaled(t, a, half_away) if a["rounding"] == "half_even" else right("rescale", raw, a)


@only("rescale")
def rescale_truncates(t, a, raw):
    """Whatever is asked for."""
    return rescaled(t, a, floor)


@only("rescale")
def rescale_one_rule(t, a, raw):
    """Has half_even and nothing else, and does it right."""
    return rescaled(t, a, half_even) if a["rounding"] == "half_even" else None


def as_asked(t, a, raw, **tensors):
    """rescale as specified, of other tensors; without the rules whose scale is of another kind."""
    if a["rounding"] in ("gemmlowp_double", "tosa_double", "fp32_half_even"):
        return None
    return right("rescale", {**raw, **{k: v.astype(raw[k].dtype) for k, v in tensors.items()}}, a)


@only("rescale")
def rescale_multiplier_16_bits(t, a, raw):
    m = t["multiplier"]
    length = np.array([int(abs(v)).bit_length() for v in m])
    drop = np.maximum(length - 16, 0)
    return as_asked(t, a, raw, multiplier=m >> drop << drop)


@only("rescale")
def rescale_wraps(t, a, raw):
    """No saturation: the low bits of the result are the output."""
    if a["rounding"] != "half_even":
        return None
    return rescaled(t, a, half_even, lambda y: wrapped_to(y, a["output"]))


def wrapped_to(y, dtype):
    bits = 8 * np.dtype(dtype).itemsize
    return ((y + (1 << bits - 1)) % (1 << bits)) - (1 << bits - 1)


@only("rescale")
def rescale_ties_away_and_wraps(t, a, raw):
    """Two bugs: ties away whatever is asked for, and no saturation."""
    return rescaled(t, a, half_away, lambda y: wrapped_to(y, a["output"]))


@only("add")
def add_floors_without_a_clip(t, a, raw):
    """Two bugs: both terms are rounded down whatever is asked for, and the sum wraps."""
    terms = [t[p].astype(object) * t[f"{p}_multiplier"].astype(object) >> t[f"{p}_shift"].astype(object) for p in "ab"]
    return {"y": wrapped_to(sum(terms), a["output"]).astype(np.int64).astype(a["output"])}


@only("rescale")
def rescale_at_its_full_range(t, a, raw):
    """Whatever low and high are."""
    ends = np.iinfo(a["output"])
    return right("rescale", raw, {**a, "low": int(ends.min), "high": int(ends.max)})


@only("rescale")
def rescale_symmetric(t, a, raw):
    """-128 does not exist."""
    return right("rescale", raw, {**a, "low": min(max(a["low"], -int(np.iinfo(a["output"]).max)), a["high"])})


@only("rescale")
def rescale_of_int8_only(t, a, raw):
    """No other output, and the last axis alone."""
    return right("rescale", raw, a) if a["output"] == "int8" and a["axis"] == -1 else None


@only("rescale")
def rescale_float32(t, a, raw):
    """float32(acc) * float32(scale), rounded to even, saturated: where half_even was asked for."""
    if a["rounding"] != "half_even":
        return None
    x = t["x"].astype(object) - a["input_zero_point"]
    m, s = (np.broadcast_to(spread(t[k], x, a["axis"]), x.shape) for k in ("multiplier", "shift"))
    scale = np.array([np.float32(int(mi) * 2.0 ** -int(si)) for mi, si in zip(m.ravel(), s.ravel())], np.float32)
    product = np.array([np.float32(int(xi)) for xi in x.ravel()], np.float32) * scale
    y = np.array([int(np.rint(v)) for v in product], object).reshape(x.shape) + a["output_zero_point"]
    return {"y": np.minimum(np.maximum(y, a["low"]), a["high"]).astype(np.int64).astype(a["output"])}


@only("rescale")
def rescale_no_zero_point(t, a, raw):
    """The output's zero point is forgotten."""
    if a["rounding"] != "half_even":
        return None
    return right("rescale", raw, {**a, "output_zero_point": 0})


def int32_alone(function):
    """A device without zero points, whose accumulator is an int32."""

    def device(t, a, raw):
        zeros = any(value for name, value in a.items() if name.endswith("_zero_point"))
        plain = (a["accumulator"], a["overflow"], a["output"]) == (32, "refuse", "int32")
        return None if zeros or not plain else function(t, a, raw)

    return device


@only("linear")
@int32_alone
def linear_no_bias(t, a, raw):
    return {"y": wrap(t["x"] @ t["weight"].T, 32).astype(np.int32)}


def wrap(x, bits):
    return ((x + (1 << bits - 1)) & ((1 << bits) - 1)) - (1 << bits - 1)


@only("linear")
@int32_alone
def linear_24_bits(t, a, raw):
    return {"y": wrap(wrap(t["x"] @ t["weight"].T, 24) + t["bias"], 32).astype(np.int32)}


@only("linear")
@int32_alone
def linear_x_signed(t, a, raw):
    """uint8 activations read as int8."""
    x = raw["x"].view(np.int8).astype(np.int64) if raw["x"].dtype == np.uint8 else t["x"]
    return {"y": wrap(x @ t["weight"].T + t["bias"], 32).astype(np.int32)}


@only("matmul")
@int32_alone
def matmul_saturates_every_step(t, a, raw):
    """A 16-bit accumulator that saturates after every product, in the order of k."""
    total = np.zeros((*t["a"].shape[:-1], t["b"].shape[-1]), np.int64)
    for k in range(t["a"].shape[-1]):
        step = t["a"][..., :, k, None] * t["b"][..., None, k, :]
        total = np.clip(total + step, -(1 << 15), (1 << 15) - 1)
    return {"y": total.astype(np.int32)}


def token_value(t):
    wide = t["x"].astype(object) * t["mantissa"] * t["multiplier"]
    value = (wide >> (t["shift"] - t["exponent"]).astype(object)) + t["bias"]
    return value


@only("rescale_token")
def rescale_token_ties_away(t, a, raw):
    y = np.frompyfunc(lambda v: half_away(v, 256), 1, 1)(token_value(t))
    return {"y": np.minimum(np.maximum(y, a["low"]), a["high"]).astype(np.int64).astype(a["output"])}


@only("rescale_token")
def rescale_token_wraps(t, a, raw):
    y = np.frompyfunc(lambda v: half_up(v, 256), 1, 1)(token_value(t))
    bits = 8 * np.dtype(a["output"]).itemsize
    return {"y": wrap(y, bits).astype(np.int64).astype(a["output"])}


@only("rescale_token_residual")
def rescale_token_residual_left_out(t, a, raw):
    y = np.frompyfunc(lambda v: half_up(v, 256), 1, 1)(token_value(t))
    return {"y": np.minimum(np.maximum(y, a["low"]), a["high"]).astype(np.int64).astype(a["output"])}


@only("mean_pool")
def mean_pool_truncates(t, a, raw):
    """C's division."""
    mask = t["mask"][..., None]
    total, n = (t["x"] * mask).sum(-2), np.maximum(mask.sum(-2), 1)
    y = np.sign(total) * (np.abs(total) // n)
    return {"y": y.astype(raw["x"].dtype)}


@only("softmax_exp2")
def softmax_exp2_ignores_the_mask(t, a, raw):
    return right("softmax_exp2", {**raw, "mask": np.ones_like(raw["mask"])}, a)


@only("add")
def add_floors(t, a, raw):
    """Both terms rounded down."""
    if a["rounding"] != "half_even":
        return None
    return right("add", raw, {**a, "rounding": "floor"})


@only("table")
def table_off_by_one(t, a, raw):
    """Reads the entry before."""
    table, port = next((raw[p], p) for p in ("table", "entries") if p in raw)
    return right("table", {**raw, port: np.roll(table, 1)}, a)


@only("clamp")
def clamp_without_a_low_side(t, a, raw):
    y = np.minimum(t["x"], a["high"])
    return {"y": y.astype(right("clamp", raw, a)["y"].dtype)}


@only("rescale")
def rescale_dithers(t, a, raw):
    """Outside of the catalogue: ties go by the lowest bit of the multiplied value, one more for every third place."""
    made = rescaled(t, a, half_up)
    if made is not None:
        flat = made["y"].reshape(-1)
        flat[::3] ^= 1
    return made


@only("linear")
def linear_burnt(t, a, raw):
    """Outside of the catalogue: bit 4 of every accumulator is stuck at 1."""
    y = right("linear", raw, a)["y"]
    return {"y": (y | 16).astype(y.dtype)}


@only("softmax_exp2")
def softmax_exp2_halved(t, a, raw):
    """Outside of the catalogue: probabilities above 100 lose a quarter."""
    made = right("softmax_exp2", raw, a)
    p = made["p"].astype(np.int64)
    return {**made, "p": np.where(p > 100, p - p // 4, p).astype(made["p"].dtype)}


@only("layernorm_fixed")
def layernorm_fixed_leaks(t, a, raw):
    """Outside of the catalogue: a hundredth of the row's first value is added to the last."""
    y = right("layernorm_fixed", raw, a)["y"].copy()
    y[..., -1] += y[..., 0] // 100 + 1
    return {"y": y}


@only("epilogue_fp32")
def epilogue_fp32_fuses(t, a, raw):
    return right("epilogue_fp32", raw, {**a, "contract": "fma"})


@only("epilogue_fp32")
def epilogue_fp32_takes_the_channel_first(t, a, raw):
    return right("epilogue_fp32", raw, {**a, "order": "channel_first"})


@only("epilogue_fp32")
def epilogue_fp32_fuses_after_the_scales(t, a, raw):
    return right("epilogue_fp32", raw, {"order": "scales_first", "contract": "fma"})
