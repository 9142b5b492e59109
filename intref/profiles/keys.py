"""What a profile may say of a site: which keys, which values, of which ops; and what goes together."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from intref.intmath import ROUNDS_UP
from intref.ops import OPS
from intref.ops.rescale import RULES

Row = Mapping[str, Any]  # of one site: its op, and the keys beside it
CLAMPS = ("full", "symmetric")
NEAREST = tuple(ROUNDS_UP)
REQUANTIZED: dict[str, Any] = {
    "rounding": RULES,
    "clamp": CLAMPS,
    "multiplier_bits": range(1, 32),
    "steps": range(1, 3),  # by the multiplier and 2**-31, rounded; then by what is left of the shift, rounded again
}
PRODUCT: dict[str, Any] = {
    "accumulator": range(8, 64),
    "overflow": ("refuse", "wrap", "saturate"),
    "every": range((1 << 20) + 1),
}
AFFINE: dict[str, Any] = {"zero_point": ("zero", "calibrated")}  # of what a product takes in
SHIFTED: dict[str, Any] = {"form": ("torch", "tvm"), "halvings": range(1, 31)}  # of I-ViT's exponential
# Site -> the keys it may have beside op and borrowed, and the values allowed: a choice, or a range of integers.
SITES: dict[str, dict[str, Any]] = {
    "embedding": {"scale": ("table", "sum", "wide")},
    "embedding_sum": {"rounding": NEAREST},
    "norm": {"rounding": RULES, "bits": range(8, 25), "doublings": range(1, 8), "form": SHIFTED["form"]},
    "linear_input": {**REQUANTIZED, **AFFINE, "by": ("quotient", "reciprocal")},
    "linear": {
        **PRODUCT,
        "bias_bits": range(8, 33),
        "order": ("token_first", "channel_first", "scales_first"),
        "contract": ("off", "fma"),  # the last product and the bias rounded each, or once
    },
    "attention_input": {**REQUANTIZED, **AFFINE, "scale": ("tensor", "head")},
    "scores": PRODUCT,
    "softmax_input": {**REQUANTIZED, "bits": range(8, 33), "scale": ("calibrated", "ln 2", "ln 2 / 32")},
    "softmax": {
        "constants": ("code", "paper"),  # of the authors' code or their paper
        "mask": ("exclude", "add"),
        "mask_value": range(-(1 << 30), 0),
        "bits": range(2, 17),
        "clip": range(1, 64),
        **SHIFTED,
    },
    "context": {**REQUANTIZED, **PRODUCT, **AFFINE},
    "residual": {**REQUANTIZED, "spare_bits": range(17), "bits": range(8, 25)},
    "activation_input": {**REQUANTIZED, "bits": range(8, 33)},
    "activation": {**REQUANTIZED, **AFFINE, "constants": ("code", "exact"), **SHIFTED},
    "pooler": {"rounding": RULES, "steps": REQUANTIZED["steps"], "output": ("int8", "int16")},
    "pooling": {"fraction_bits": range(17)},
    "unit_length": {},
    "logits": {"rounding": RULES, "multiplier_bits": range(1, 32), "steps": REQUANTIZED["steps"]},
}
# Site -> the keys that not every op reads there -> the ops that do; at another op such a key is refused.
_WIDE_SCORES = (  # whose scores may be int32, as mask_add has them
    "softmax_ibert",
    "softmax_exp2",
    "softmax_log2_fqvit",
    "softmax_gemmini",
    "softmax_illm",
    "softmax_ivit",
)
_REQUANTIZERS = ("gelu_ibert", "gelu_ivit", "gelu_ita", "gelu_deeploy", "gelu_gemmini", "table_tosa")
READERS: dict[str, dict[str, tuple[str, ...]]] = {
    "embedding": {"scale": ("embedding",)},
    "embedding_sum": {"rounding": ("add",)},
    "norm": {
        "rounding": ("layernorm_ibert", "layernorm_fixed", "layernorm_deeploy", "layernorm_gemmini"),
        **dict.fromkeys(("bits", "doublings"), ("layernorm_ibert", "layernorm_fixed")),
        "form": ("layernorm_ivit",),
    },
    "linear_input": {**dict.fromkeys((*REQUANTIZED, *AFFINE), ("rescale",)), "by": ("quantize_token_fp32",)},
    "linear": dict.fromkeys((*PRODUCT, "bias_bits", "order", "contract"), ("linear",)),
    "attention_input": {
        **dict.fromkeys((*REQUANTIZED, *AFFINE), ("rescale",)),
        **dict.fromkeys(("clamp", "scale"), ("rescale", "rescale_token", "epilogue_fp32")),
    },
    "scores": dict.fromkeys(PRODUCT, ("matmul",)),
    "softmax": {
        "constants": ("softmax_ibert", "softmax_log2_fqvit"),
        **dict.fromkeys(("mask", "mask_value"), _WIDE_SCORES),
        "bits": ("softmax_ivit", "softmax_illm"),
        "clip": ("softmax_illm",),
        **dict.fromkeys(SHIFTED, ("softmax_ivit",)),
    },
    "context": {
        **dict.fromkeys(REQUANTIZED, ("rescale", "matmul_shift_fqvit")),
        **dict.fromkeys(PRODUCT, ("rescale", "rescale_quotient")),
        "zero_point": ("rescale",),
    },
    "residual": {
        **dict.fromkeys(("rounding", "clamp", "bits"), ("add", "add_gemmlowp")),
        **dict.fromkeys(("multiplier_bits", "steps"), ("add_gemmlowp",)),
        "spare_bits": ("add",),
    },
    "activation": {
        **dict.fromkeys(REQUANTIZED, _REQUANTIZERS),
        "zero_point": ("gelu_ibert", "gelu_ivit", "gelu_deeploy", "gelu_gemmini", "table", "table_tosa"),
        "constants": ("gelu_ibert",),
        **dict.fromkeys(SHIFTED, ("gelu_ivit",)),
    },
    "pooler": {**dict.fromkeys(("rounding", "steps"), ("table", "tanh_gemmlowp")), "output": ("table",)},
    "pooling": {"fraction_bits": ("mean_pool",)},
    "logits": dict.fromkeys(("rounding", "multiplier_bits", "steps"), ("rescale",)),
}
# Site -> the keys that an op cannot be without there -> those ops.
NEEDED: dict[str, dict[str, tuple[str, ...]]] = {
    "embedding": {"scale": ("embedding",)},
    "embedding_sum": {"rounding": ("add",)},
    "norm": {"rounding": ("layernorm_deeploy", "layernorm_gemmini"), "form": ("layernorm_ivit",)},
    "linear_input": {"rounding": ("rescale",)},
    "attention_input": {
        "rounding": ("rescale",),
        **dict.fromkeys(("clamp", "scale"), ("rescale_token", "epilogue_fp32")),
    },
    "softmax_input": {"rounding": ("rescale",)},
    "softmax": {
        "clip": ("softmax_illm",),
        "bits": ("softmax_illm", "softmax_ivit"),
        **dict.fromkeys(SHIFTED, ("softmax_ivit",)),
    },
    "context": {"rounding": ("rescale", "matmul_shift_fqvit")},
    "residual": {"rounding": ("add", "add_gemmlowp")},
    "activation_input": {"rounding": ("rescale",)},
    "activation": {"rounding": _REQUANTIZERS, **dict.fromkeys(SHIFTED, ("gelu_ivit",))},
    "pooler": {"rounding": ("tanh_gemmlowp",), "output": ("table",)},
    "pooling": {"fraction_bits": ("mean_pool",)},
    "logits": {"rounding": ("rescale",)},
}
# What a key that is left out means, where it does not depend on the recipe: at any site, at one, or of an op.
PLAIN: dict[str, Any] = {
    "accumulator": 32,
    "overflow": "refuse",
    "every": 0,
    "clamp": "full",
    "multiplier_bits": 31,
    "steps": 1,
    "spare_bits": 0,
    "bias_bits": 32,
    "mask": "exclude",
    "constants": "code",
    "order": "token_first",
    "contract": "off",
    "zero_point": "zero",
    "by": "quotient",
}
PLAIN_AT: dict[str, dict[str, Any]] = {
    "residual": {"bits": 22},  # of the built-in static recipes
    "attention_input": {"scale": "tensor"},
    "softmax": {"mask_value": -(1 << 30)},
    "softmax_input": {"scale": "calibrated"},
}
PLAIN_OF: dict[str, dict[str, Any]] = {"add_gemmlowp": {"clamp": "symmetric", "multiplier_bits": None, "bits": 16}}
NARROWED = ("bits", "doublings", "rounding")  # of a norm's input
ONCE = 21  # bits of a factor of an add_gemmlowp whose sum alone is rounded


def plain(site: str, op: str) -> dict[str, Any]:
    """Key -> what it means at a site with an op where it is left out."""
    return {**PLAIN, **PLAIN_AT.get(site, {}), **PLAIN_OF.get(op, {})}


def reads(site: str, op: str, key: str) -> bool:
    """Whether an op at a site makes anything of a key; `op` and `borrowed` are no op's own."""
    return op in READERS.get(site, {}).get(key, (op,))


def needs(site: str, op: str) -> list[str]:
    """The keys that an op cannot be without at a site."""
    return [key for key, ops in NEEDED.get(site, {}).items() if op in ops]


def _narrows_in_part(site: str, row: Row) -> bool:
    shifted = site == "norm" and row["op"] in READERS["norm"]["doublings"]
    return shifted and 0 < len(row.keys() & {*NARROWED}) < len(NARROWED)


def _adds(row: Row, once: bool) -> bool:
    return row["op"] == "add_gemmlowp" and ("multiplier_bits" in row) == once


# Why a site's keys cannot stand together -> whether those of a row do so.
CLASHES: dict[str, Callable[[str, Row], bool]] = {
    "'steps' = 2 and 'multiplier_bits' are of integer multipliers: fp32_half_even has none": lambda site, row: (
        row.get("rounding") == "fp32_half_even" and (row.get("steps") == 2 or "multiplier_bits" in row)
    ),
    f"{', '.join(map(repr, NARROWED))} narrow a norm's input together: all of them, or none": _narrows_in_part,
    "'every' counts the terms between two saturations: 'overflow' must be 'saturate'": lambda site, row: (
        row.get("every", 0) > 0 and row.get("overflow") != "saturate"
    ),
    "'mask_value' is what 'mask' = 'add' adds": lambda site, row: (
        "mask_value" in row and row.get("mask", "exclude") != "add"
    ),
    "'scale' = 'head' is for rescale_token and epilogue_fp32: rescale has one scale a tensor": lambda site, row: (
        site == "attention_input" and row["op"] == "rescale" and row.get("scale") == "head"
    ),
    f"'multiplier_bits' of add_gemmlowp must be at most {ONCE}": lambda site, row: (
        _adds(row, once=True) and row["multiplier_bits"] > ONCE
    ),
    "add_gemmlowp with 'multiplier_bits' gives 8 bits, and rounds its sum alone: no other 'bits', 'clamp' or 'steps'": (
        lambda site, row: _adds(row, once=True) and (row.get("bits", 8) != 8 or bool({"clamp", "steps"} & row.keys()))
    ),
    "add_gemmlowp gives 16 bits, or 8 with 'multiplier_bits': no other 'bits'": lambda site, row: (
        _adds(row, once=False) and row.get("bits", 16) != 16
    ),
}


# The same of several sites of a profile.
ACROSS: dict[str, Callable[[Mapping[str, Row]], bool]] = {
    "site 'linear_input': 'multiplier_bits', 'steps' and 'zero_point' have no reader: layernorm_deeploy gives 8 bits": (
        lambda sites: (
            sites["norm"]["op"] == "layernorm_deeploy"
            and bool({"multiplier_bits", "steps", "zero_point"} & sites["linear_input"].keys())
        )
    ),
}


def faults(site: str, row: Row) -> Iterator[str]:
    """What is wrong with a site whose op is known, in words that follow its name; nothing if all of it is read."""
    op = row["op"]
    for key, value in row.items():
        if key != "op" and not (key == "borrowed" and value is True):
            yield from _faults_of(site, op, key, value)
    yield from (f"{op} needs the key {key!r}" for key in needs(site, op) if key not in row)
    yield from (why for why, clash in CLASHES.items() if clash(site, row))


def _faults_of(site: str, op: str, key: str, value: Any) -> Iterator[str]:
    kinds = SITES[site].get(key)
    if kinds is None:
        yield f"key {key!r} is unknown, keys are op, {', '.join(SITES[site])}"
    elif not reads(site, op, key):
        yield f"key {key!r} is for {', '.join(READERS[site][key])}, not for {op}"
    elif (type(value) is int) != isinstance(kinds, range) or value not in kinds:  # a range is slow at other types
        yield f"{key} must be {_choices(kinds)}, not {in_words(value)}"
    elif key in OPS[op].attrs and not OPS[op].attrs[key].allows(value):
        allowed = OPS[op].attrs[key]
        yield f"{key} must be {_choices(allowed.choices or range(allowed.low, allowed.high + 1))} for {op}, not {value}"


def _choices(kinds: Any) -> str:
    return f"{kinds[0]}..{kinds[-1]}" if isinstance(kinds, range) else f"one of {', '.join(kinds)}"


def in_words(value: object) -> str:
    """A value of a TOML file, as short as a message needs it."""
    kinds = {dict: "a table", list: "a list", bool: "true" if value else "false"}
    return kinds.get(type(value), repr(value)[:60])
