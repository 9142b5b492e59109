"""What no call of Deeploy's norms, activations and quotients can show, each with the reason."""

_BYTE = "y is stored in 8 bits: modulo 2**8 the two agree"
_WORD = "y is stored in 32 bits: modulo 2**32 the two agree"
_WRAPPED = "the wrap to int32 leaves the low 32 bits, which both have"
_SIGN = "only its magnitude counts"
_INT8 = {
    "_narrowed: _wrap_int8(z) -> z in return _wrap_int8(z) if overflow == 'wrap' else saturate(z, -128, 127)": _BYTE,
    "_wrap_int8: (x + 128 & 255) - 128 -> (x + 128 & 255) + 128 in return (x + 128 & 255) - 128": _BYTE,
    "_wrap_int8: x + 128 & 255 -> x + 128 in return (x + 128 & 255) - 128": _BYTE,
    "_wrap_int8: x + 128 -> x - 128 in return (x + 128 & 255) - 128": _BYTE,
}
_WEIGHT = "weight = weight[None] if len(weight.shape) == 1 else weight[:, :]"
_ALIKE = "[D] and [1 D] are laid alike"
_PRODUCT = "x * saturate(x + input_offset + three, 0, six) * one_over_six"
_POLY = "poly = sign * (one - square(minimum(absolute(v), -b) + b))"
EQUIVALENT: dict[str, dict[str, str]] = {
    "layernorm_deeploy": {
        **_INT8,
        "c -> -c in sigma = isqrt(within(sum_along(square(c), -1) // width + 1, 1, (1 << 14) - 1))": _SIGN,
    },
    "rmsnorm_deeploy": {"v -> -v in sigma = isqrt(sum_along(square(v), -1) // x.shape[-1] + 1)": _SIGN},
    "nonorm_deeploy": {
        **_INT8,
        f"weight[None] -> weight in {_WEIGHT}": _ALIKE,
        f"weight[:, :] -> weight in {_WEIGHT}": _ALIKE,
        f"left out: {_WEIGHT}": _ALIKE,
    },
    "gelu_deeploy": {f"v -> -v in {_POLY}": _SIGN},
    "hardswish_deeploy": {f"wrap_int32({_PRODUCT}) -> {_PRODUCT} in return {{'y': wrap_int32({_PRODUCT})}}": _WORD},
    "divide_deeploy": {"wrap_int32(y) -> y in return {'y': wrap_int32(y)}": _WORD},
    "mean_deeploy": {
        "0 -> -1 in total, count = (sum_along(x, -2)[..., 0, :], x.shape[-2])": "the axis summed along has size 1",
    },
}
_FEW = "what it is taken of is below 2**16, where they all are exact"
_ROOTS = {
    "root: Newton from 2**16, stopped where it does not fall": _FEW,
    "root: in floats of *": _FEW,
    "root: of 32 bits": _FEW,
}
_MEAN = "the mean of squares is below 2**14"
HARMLESS: dict[str, dict[str, str]] = {
    "layernorm_deeploy": {
        **_ROOTS,
        "quotient: saturated to 16 bits": _MEAN,
        "addition 4 of 4: wrapped to 32 bits": _BYTE,
    },
    "rmsnorm_deeploy": {
        **_ROOTS,
        "product: wrapped to 32 bits": _WRAPPED,
        "weight read as uint32": _WRAPPED,
    },
    "nonorm_deeploy": {
        **dict.fromkeys(("bias read as uint32", "product 2 of 2: wrapped to 32 bits"), _WRAPPED),
        "addition*: wrapped to 32 bits": _WRAPPED,
    },
    "hardswish_deeploy": dict.fromkeys(("product 2 of 2: wrapped to 32 bits", "wrap: not done"), _WORD),
    "divide_deeploy": {"wrap: not done": _WORD},
}
_STEPS = "at most 5 for every number below 2**16"
UNREACHABLE: dict[str, dict[str, str]] = {
    "layernorm_deeploy": {
        r"isqrt\(.* \| 6 Newton steps": _STEPS,
        r"sum_along\(square\(c\), -1\) \| positive, 2[89] bits": f"{_MEAN}, and D <= 2**13",
    },
    "rmsnorm_deeploy": {r"isqrt\(.* \| 6 Newton steps": _STEPS},
}
