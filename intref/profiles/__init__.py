"""Profiles: which op, with which attributes, stands at each site of a model. Plain data, read strictly."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from intref.errors import FormatError, Unsupported, near
from intref.intmath import ROUNDS_UP
from intref.ops import OPS
from intref.ops.rescale import RULES
from intref.tensorfile import opened

HERE = Path(__file__).parent
HEAD = ("name", "about", "source", "status")
STATUSES = ("stable", "experimental")
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
    "linear": {**PRODUCT, "bias_bits": range(8, 33), "order": ("token_first", "channel_first", "scales_first")},
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
    "linear": dict.fromkeys((*PRODUCT, "bias_bits", "order"), ("linear",)),
    "attention_input": {
        **dict.fromkeys((*REQUANTIZED, *AFFINE), ("rescale",)),
        **dict.fromkeys(("clamp", "scale"), ("rescale", "rescale_token", "epilogue_fp32")),
    },
    "scores": dict.fromkeys(PRODUCT, ("matmul",)),
    "softmax": {
        "constants": ("softmax_ibert", "softmax_log2_fqvit"),
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
OPTIONAL = ("softmax_input", "activation_input")  # where there is none, the accumulator goes on as it is


@dataclass(frozen=True)
class Profile:
    """name, where it comes from, and sites: site -> {op, attributes}. borrowed: the dialect itself has no such op."""

    name: str
    about: str
    source: str
    status: str
    sites: Mapping[str, Mapping[str, Any]]


def names() -> list[str]:
    """The profiles that come with intref."""
    return sorted(path.stem for path in HERE.glob("*.toml"))


def load_profile(name: str | os.PathLike[str]) -> Profile:
    """A profile by name, or from a TOML file by path; one of another name is experimental: no oracle has run on it.

    FormatError or Unsupported, one line, if it is none.
    """
    path = HERE / f"{name}.toml" if str(name) in names() else Path(name)
    if not path.is_file():
        raise Unsupported(f"profile {str(name)!r}: there is no such file, and no profile but {', '.join(names())}")
    table = read_toml(path)
    if unknown := table.keys() - {*HEAD, *SITES}:  # before what is missing, for a misspelt site is both
        raise FormatError(f"{path}: key {min(unknown)!r} is unknown, {_meant(min(unknown))}")
    if missing := [key for key in (*HEAD, *SITES) if key not in table and key not in OPTIONAL]:
        kind = "table" if missing[0] in SITES else "key"
        raise FormatError(f"{path}: profile must have {missing[0]!r}: the {kind} is missing")
    for key in HEAD:
        if not isinstance(table[key], str):
            raise FormatError(f"{path}: {key} must be text, not {in_words(table[key])}")
    if table["status"] not in STATUSES:
        raise FormatError(f"{path}: status must be one of {', '.join(STATUSES)}, not {in_words(table['status'])}")
    given = [site for site in SITES if site in table]
    for site in given:
        _check_site(path, site, table[site], SITES[site])
    head = {key: table[key] for key in HEAD}
    if table["name"] not in names():  # no oracle has run on it
        head["status"] = "experimental"
    found = Profile(**head, sites={site: table[site] for site in given})
    _check_name(path, found)
    return found


def reads(site: str, op: str, key: str) -> bool:
    """Whether an op at a site makes anything of a key; `op` and `borrowed` are no op's own."""
    return op in READERS.get(site, {}).get(key, (op,))


def _check_name(path: Path, found: Profile) -> None:
    """A model bears its profile's name: one of intref's own must not stand for other sites."""
    if path.parent != HERE and found.name in names() and found.sites != load_profile(found.name).sites:
        raise FormatError(f"{path}: name {found.name!r} is that of intref's own profile, whose sites differ: rename it")


def _meant(name: str) -> str:
    close = near(name, (*HEAD, *SITES))
    return close if close.startswith("near") else f"sites are {', '.join(SITES)}"


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dict; FormatError with the line if it is not TOML."""
    with opened(path) as file:
        data = file.read()
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # bad syntax, bad UTF-8, a number or a nesting without end
        raise FormatError(f"{path}: not TOML: {' '.join(str(error).split())[:120]}") from None


def in_words(value: object) -> str:
    """A value of a TOML file, as short as a message needs it."""
    kinds = {dict: "a table", list: "a list", bool: "true" if value else "false"}
    return kinds.get(type(value), repr(value)[:60])


def _check_site(path: Path, site: str, table: Any, allowed: Mapping[str, Any]) -> None:
    if not isinstance(table, dict) or "op" not in table:
        raise FormatError(f"{path}: site {site!r} must be a table with the key 'op'")
    if not isinstance(table["op"], str) or table["op"] not in OPS:
        raise Unsupported(f"{path}: site {site!r}: there is no op {table['op']!r}, {near(table['op'], OPS)}")
    for key, value in table.items():
        if key == "op" or (key == "borrowed" and value is True):
            continue
        kinds = allowed.get(key)
        if kinds is None:
            raise FormatError(f"{path}: site {site!r}: key {key!r} is unknown, keys are op, {', '.join(allowed)}")
        if not reads(site, table["op"], key):
            ops = ", ".join(READERS[site][key])
            raise FormatError(f"{path}: site {site!r}: key {key!r} is for {ops}, not for {table['op']}")
        numbers = isinstance(kinds, range)
        if (type(value) is int) == numbers and value in kinds:  # a range looks for another type one by one
            continue
        choices = f"{kinds[0]}..{kinds[-1]}" if numbers else f"one of {', '.join(kinds)}"
        raise FormatError(f"{path}: site {site!r}: {key} must be {choices}, not {in_words(value)}")
