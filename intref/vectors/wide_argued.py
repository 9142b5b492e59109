"""What no call of the ops of ops/wide.py can show, each with the reason."""

_ANY_BUT_0 = "where takes its first value for anything but 0"
_SHIFTED = "only differences of x count"
_BELOW = "any fill at or below every x leaves the maximum alone; a masked key counts for nothing"
_ATTEND = "attend = mask[:, None, None] if len(mask.shape) == 2 else mask[:, None]"
_SEEN = "seen = where(attend, x, -WIDE)"
_E = "e = where(attend, within(shift_half_up(mantissa, minimum(n, 62)), 0, 1 << 48), 0)"
_U = "u = mul_shift(within(max_along(seen, -1) - seen, 0, 2 * WIDE), multiplier, shift, 'floor')"
_P = "return {'p': within(mul_shift(e, r, 49 + s, 'half_up'), 0, WIDE)}"
_MISS = "miss = within((1 << 46) - mul_shift(v >> 14, mul_shift(h, h, 48, 'floor'), 48, 'floor'), -(1 << 18), 1 << 18)"
_LEAST = "they part where all attended are -WIDE: of a distance of 1 u is 0 as of 0, for multiplier < 2**shift"
_POSITIVE = "never negative"
_MAGNITUDE = "a magnitude has no sign"
_FULL = "a row's largest has 48 bits, so its square alone is 2**46; a row of zeros stays one"
EQUIVALENT: dict[str, dict[str, str]] = {
    "linear_wide": {
        "-1 -> 1 in return {'y': saturate(_dot(x, swap(weight, -1, -2), shift) + bias, -WIDE, WIDE)}": (
            "weight has two axes: the last is axis 1"
        ),
    },
    "softmax_wide": {
        f"mask -> -mask in {_ATTEND}": _ANY_BUT_0,
        f"mask -> -mask in {_ATTEND} #2": _ANY_BUT_0,
        f"attend -> -attend in {_SEEN}": _ANY_BUT_0,
        f"attend -> -attend in {_E}": _ANY_BUT_0,
        f"x -> x + 1 in {_SEEN}": _SHIFTED,
        f"WIDE -> WIDE + 1 in {_SEEN}": _BELOW,
        f"62 -> 61 in {_E}": "mantissa <= 2**48: 0 either way",
        f"x -> x - 1 in {_SEEN}": _LEAST,
        f"WIDE -> WIDE - 1 in {_SEEN}": _LEAST,
        f"'floor' -> 'toward_zero' in {_U}": _POSITIVE,
        "_reciprocal: 'floor' -> 'toward_zero' in miss = within((1 << 47) - mul_shift(v, g << 16, 48, 'floor'), "
        "-(1 << 18), 1 << 18)": _POSITIVE,
        f"'half_up' -> 'half_away' in {_P}": _POSITIVE,
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "a mantissa below 0 is clamped to 0",
    },
    "gelu_wide": {
        "x -> -x in tail = shift_half_up(_piecewise(absolute(x), coefficients, fraction), 48 - fraction)": _MAGNITUDE,
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "half_up of -1/2 and of less is 0",
    },
    "tanh_wide": {
        "x -> -x in y = (1 << 46) - shift_half_up(_piecewise(absolute(x), coefficients, fraction), 2)": _MAGNITUDE,
        "_piecewise: 0 -> 1 in return where(cell < cells, y, 0)": "half_up of 1/4 is 0",
        "_piecewise: 0 -> -1 in return where(cell < cells, y, 0)": "half_up of -1/4 is 0",
    },
    "l2_normalize_wide": {
        "x -> -x in n = within(x << _room(x), 1 - (1 << 48), (1 << 48) - 1) #2": _MAGNITUDE,
        "n -> -n in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))} #2": "a square has no sign",
        "1 << 46 -> 1 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "1 << 46 -> 46 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "1 << 46 -> 46 << 1 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "46 -> 45 in return {'y': _over_root(n, maximum(_squares(n), 1 << 46))}": _FULL,
        "_room: c -> -c in return 48 - bitlen(max_along(absolute(c), -1))": _MAGNITUDE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS}": _POSITIVE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS} #2": _POSITIVE,
    },
    "layernorm_wide": {
        "c -> -c in k = minimum(_room(c), most)": _MAGNITUDE,
        "n -> -n in unit = _over_root(n, maximum(_squares(n) + epsilon, 1 << 46)) #2": "a square has no sign",
        "_room: c -> -c in return 48 - bitlen(max_along(absolute(c), -1))": _MAGNITUDE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS}": _POSITIVE,
        f"_inverse_root: 'floor' -> 'toward_zero' in {_MISS} #2": _POSITIVE,
    },
    "mean_pool_wide": {
        "0 -> -1 in return {'y': within(mean, -WIDE, WIDE)[..., 0, :]}": "the axis that was summed has one element",
        "seen -> -seen in mean = div_half_up(sum_along(where(seen, x, 0), -2), "
        "maximum(sum_along(seen, -2), 1))": _ANY_BUT_0,
    },
}
_ABOVE_0 = ("half_away", "half_up by a division toward zero")
_MISSES = "the miss is within 2**18"
HARMLESS: dict[str, dict[str, str]] = {
    "layernorm_wide": {
        "rule toward_zero at rounding [34] of 6": _POSITIVE,
        "rule half_away at rounding 2 of 6": _POSITIVE,
        "rule half_up by a division toward zero at rounding 2 of 6": _POSITIVE,
        "difference 5 of 6: * to 32 bits": _MISSES,
    },
    "softmax_wide": {
        "rule toward_zero at rounding [19] of 10": _POSITIVE,
        **{f"rule {rule} at rounding {n} of 10": _POSITIVE for rule in _ABOVE_0 for n in (8, 10)},
        "difference 6 of 6: * to 32 bits": _MISSES,
    },
    "l2_normalize_wide": {
        "rule toward_zero at rounding [12] of 3": _POSITIVE,
        "difference 3 of 4: * to 32 bits": _MISSES,
    },
}
UNREACHABLE: dict[str, dict[str, str]] = {}
