"""Headers and tensors of model files that lie; what is changed is the file of `tiny_models`."""

import json

import numpy as np

from intref.errors import BoundError as B
from intref.errors import FormatError as F
from intref.errors import Unsupported as U
from intref.modelfile import canonical, unpack_int4


def changed(place: str, value=..., drop: bool = False):
    """A change of the header at a dotted place: value set, or the key dropped."""

    def change(table):
        *path, last = [int(p) if p.isdigit() else p for p in place.split("/")]
        for key in path:
            table = table[key]
        if drop:
            del table[last]
        else:
            table[last] = value

    return change


# Change of the header -> (error, what the message says).
HOSTILE = {
    **{
        f"no {key}": (changed(key, drop=True), F, "must have the keys")
        for key in tuple("about dims inputs nodes outputs scales spec states tensors".split())
    },
    **{
        f"node without {key}": (changed(f"nodes/2/{key}", drop=True), F, "node 2 must have the keys")
        for key in "attrs group inputs op outputs site version".split()
    },
    **{
        f"tensor without {key}": (changed(f"tensors/h/{key}", drop=True), F, "tensor 'h' must have the keys")
        for key in "axes bits dtype high low signed".split()
    },
    **{
        f"{key} of a wrong kind": (changed(key, 7), F, f"{key} must be a ")
        for key in "about dims inputs nodes outputs scales states tensors".split()
    },
    "no schema": (changed("schema", drop=True), U, "schema None is not supported, only 1"),
    "a later schema": (changed("schema", 2), U, "schema 2 is not supported"),
    "schema true": (changed("schema", True), U, "schema True is not supported"),
    "a fractional schema": (changed("schema", 1.0), U, "schema 1.0 is not supported"),
    "a later spec": (changed("spec", "9.9"), U, "spec version '9.9' is not supported"),
    "spec of a wrong kind": (changed("spec", [1]), U, "spec version [1] is not supported"),
    "states": (changed("states", [{"name": "kv"}]), U, "states are not supported"),
    "an unknown key": (changed("extra", 1), F, "must have the keys"),
    "a node that is no object": (changed("nodes/1", []), F, "node 1 must have the keys"),
    "an unknown op": (changed("nodes/1/op", "conv"), U, "op 'conv'): there is no such op"),
    "an op that is no text": (changed("nodes/1/op", 3), F, "node 1: op, site and group must be text"),
    "a later op version": (changed("nodes/1/version", 2), U, "version 2 is not supported, this release has 1"),
    "a true op version": (changed("nodes/1/version", True), U, "version True is not supported"),
    "attrs that are no object": (changed("nodes/1/attrs", []), F, "attrs an object"),
    "an unknown attribute": (changed("nodes/3/attrs/colour", 1), F, "attributes must be"),
    "an attribute dropped": (changed("nodes/6/attrs/rounding", drop=True), F, "'rounding' must be given (C4)"),
    "an attribute out of its choices": (changed("nodes/6/attrs/rounding", "nearest"), F, "(C4)"),
    "a fractional attribute": (changed("nodes/8/attrs/low", -5.0), F, "attribute 'low' must be text or an integer"),
    "a boolean attribute": (changed("nodes/8/attrs/low", True), F, "attribute 'low' must be text or an integer"),
    "an attribute beyond 2**53": (changed("nodes/8/attrs/high", 1 << 53), F, "below 2**53"),
    "an attribute that is a list": (changed("nodes/8/attrs/low", [1]), F, "attribute 'low' must be text or an integer"),
    "low above high": (changed("nodes/8/attrs/low", 6), B, "low <= high"),
    "inputs that are no names": (changed("nodes/0/inputs", {"ids": 1, "table": 2}), F, "must map names to names"),
    "a port missing": (changed("nodes/0/inputs", {"ids": "input_ids"}), F, "inputs must be ['ids', 'table']"),
    "a port too many": (changed("nodes/4/inputs/y", "L0.y"), F, "inputs must be ['x']"),
    "an output port missing": (changed("nodes/1/outputs", {"q": "q"}), F, "missing tensor 'exponent'"),
    "an input nobody makes": (changed("nodes/1/inputs/x", "ghost"), F, "'ghost' is not made by an earlier node"),
    "a forward reference": (changed("nodes/1/inputs/x", "pooled"), F, "'pooled' is not made by an earlier node"),
    "a cycle": (changed("nodes/4/inputs/x", "L0.t"), F, "'L0.t' is not made by an earlier node"),
    "an output made twice": (changed("nodes/5/outputs/y", "L0.t"), F, "missing tensor 'L0.scores'"),
    "an output that is an input": (changed("nodes/5/outputs/y", "input_ids"), F, "missing tensor 'L0.scores'"),
    "an output that is a constant": (changed("nodes/5/outputs/y", "weight"), F, "missing tensor 'L0.scores'"),
    "an output not declared": (changed("nodes/5/outputs/y", "new"), F, "missing tensor 'L0.scores'"),
    "a public output nobody makes": (changed("outputs/pooled", "ghost"), F, "output 'pooled' names tensor 'ghost'"),
    "no public output": (changed("outputs", {}), F, "at least one output"),
    "a tensor nobody makes": (
        changed("tensors/ghost", {"axes": [1], "bits": 8, "dtype": "int8", "high": None, "low": None, "signed": True}),
        F,
        "missing tensor 'ghost'",
    ),
    "a tensor not declared": (changed("tensors/h", drop=True), F, "'h' is not declared"),
    "an input not declared": (changed("tensors/input_ids", drop=True), F, "'input_ids' must be declared"),
    "a constant not declared": (changed("tensors/bias", drop=True), F, "unknown tensor 'bias'"),
    "an unknown dtype": (changed("tensors/h/dtype", "float32"), F, "dtype must be one of"),
    "a dtype that is no text": (changed("tensors/h/dtype", ["int8"]), F, "dtype must be text"),
    "a dtype the op does not make": (
        changed(
            "tensors/h",
            {"axes": ["B", "T", 8], "bits": 21, "dtype": "int64", "high": None, "low": None, "signed": True},
        ),
        F,
        "'h' must be int32, not int64",
    ),
    "a dtype of another constant": (changed("tensors/bias/dtype", "int32"), F, "constant 'bias' must be int32"),
    "bits 0": (changed("tensors/h/bits", 0), F, "do not fit int32"),
    "bits 65": (changed("tensors/h/bits", 65), F, "do not fit int32"),
    "bits that are no integer": (changed("tensors/h/bits", 21.0), F, "bits must be an integer"),
    "bits that do not hold the range": (changed("tensors/h/bits", 8), F, "do not fit int32"),
    "bits beyond the dtype": (changed("tensors/q/bits", 9), F, "do not fit int8"),
    "a wrong sign": (changed("tensors/h/signed", False), F, "do not fit int32"),
    "signed 1": (changed("tensors/h/signed", 1), F, "signed true or false"),
    "low above high of a tensor": (changed("tensors/h/low", 1 << 21), F, "do not fit int32"),
    "a bound beyond 2**53": (changed("tensors/h/high", 1 << 53), F, "low, high or axes"),
    "a huge number": (changed("tensors/h/high", 10**400), F, "low, high or axes"),
    "a fractional bound": (changed("tensors/h/high", 3.5), F, "low, high or axes"),
    "a narrower range than is proved": (changed("tensors/q/high", 126), B, "[-127, 127] is what can be proved"),
    "a range narrower than a constant": (changed("tensors/weight/high", 3), F, "constant 'weight' must lie in [-8, 3]"),
    "an axis nobody knows": (changed("tensors/h/axes", ["B", "S", 8]), F, "axis 'S' is not among"),
    "an axis of 0": (changed("tensors/h/axes", ["B", "T", 0]), F, "low, high or axes"),
    "a negative axis": (changed("tensors/h/axes", ["B", "T", -8]), F, "low, high or axes"),
    "a boolean axis": (changed("tensors/h/axes", ["B", "T", True]), F, "low, high or axes"),
    "axes that are text": (changed("tensors/h/axes", "BT"), F, "low, high or axes"),
    "another size than the op makes": (changed("tensors/h/axes", ["B", "T", 9]), B, "'h' is declared with axes"),
    "another number of axes than the op makes": (changed("tensors/h/axes", ["B", 8]), B, "'h' is declared with axes"),
    "symbols exchanged": (changed("tensors/h/axes", ["T", "B", 8]), B, "'h' is declared with axes ['T', 'B', 8]"),
    "a symbol said to be 1": (changed("tensors/L0.t/axes", ["B", 6, 1]), B, "'L0.t' is declared with axes ['B', 6, 1]"),
    "a 1 said to be a symbol": (
        changed("tensors/mantissa/axes", ["B", "T", "T"]),
        B,
        "'mantissa' is declared with axes",
    ),
    "another size of a constant": (changed("tensors/bias/axes", [7]), F, "constant 'bias' must be int64 [7]"),
    "another size of a packed constant": (
        changed("tensors/weight/axes", [6, 9]),
        F,
        "packed tensor 'weight' must be U8 [6, 5]",
    ),
    "no size of a packed constant": (changed("tensors/weight/axes", ["B"]), F, "packed tensor 'weight' must be U8"),
    "an input of absurd size": (changed("tensors/input_ids/axes", [1 << 30, 1 << 20]), F, "at most 16777216 elements"),
    "an input of two axes alike": (
        changed("tensors/attention_mask/axes", ["B", "B"]),
        B,
        "must have T = 16, not 4 (C2)",
    ),
    "a dimension of 0": (changed("dims/T", 0), F, "dims 'T' must be in 1..1048576"),
    "a negative dimension": (changed("dims/T", -1), F, "dims 'T' must be in"),
    "a huge dimension": (changed("dims/T", 1 << 52), F, "dims 'T' must be in"),
    "a dimension that is no integer": (changed("dims/T", "512"), F, "dims 'T' must be in"),
    "a boolean dimension": (changed("dims/T", True), F, "dims 'T' must be in"),
    "a dimension dropped": (changed("dims/T", drop=True), F, "axis 'T' is not among ['B']"),
    "a default out of range": (changed("inputs/attention_mask", 2), F, "default must lie in [0, 1], not 2"),
    "a huge default": (changed("inputs/attention_mask", 10**30), F, "must be a default or null"),
    "a default that is text": (changed("inputs/attention_mask", "1"), F, "must be a default or null"),
    "an input that is a constant": (changed("inputs/words", 1), F, "unknown tensor 'words'"),
    "a scale of nothing": (changed("scales/ghost", [1, 0]), F, "scale of tensor 'ghost'"),
    "an even mantissa": (changed("scales/h", [2, 0]), F, "scale of 'h' must be [mantissa, exponent]"),
    "a mantissa of 0": (changed("scales/h", [0, 0]), F, "scale of 'h' must be"),
    "a mantissa beyond 2**53": (changed("scales/h", [(1 << 53) + 1, 0]), F, "scale of 'h' must be"),
    "a huge exponent": (changed("scales/h", [1, 10**6]), F, "scale of 'h' must be"),
    "a fractional scale": (changed("scales/h", [1.5, 0]), F, "scale of 'h' must be"),
    "a scale that is no pair": (changed("scales/h", [1, 0, 0]), F, "scale of 'h' must be"),
    "a scale that is a number": (changed("scales/h", 3), F, "scale of 'h' must be"),
    "a fraction about": (changed("about/seed", 0.5), F, "about 'seed' must be text, an integer"),
    "a list of fractions about": (changed("about/seed", [1, 0.5]), F, "about 'seed' must be text, an integer"),
    "an object about": (changed("about/seed", {}), F, "about 'seed' must be text, an integer"),
}

STORED = {
    "a tensor missing": (lambda s: s.pop("bias"), "missing tensor 'bias'"),
    "a tensor too many": (lambda s: s.update(ghost=np.zeros(2, np.int8)), "unknown tensor 'ghost'"),
    "a tensor of an input's name": (
        lambda s: s.update(input_ids=np.zeros((1, 1), np.int32)),
        "unknown tensor 'input_ids'",
    ),
    "a tensor that a node makes": (lambda s: s.update(h=np.zeros((1, 1, 8), np.int32)), "unknown tensor 'h'"),
    "another dtype": (
        lambda s: s.update(bias=s["bias"].astype(np.int32)),
        "constant 'bias' must be int64 [6], not int32",
    ),
    "another shape": (lambda s: s.update(bias=s["bias"][:5]), "constant 'bias' must be int64 [6], not int64 [5]"),
    "another number of axes": (lambda s: s.update(bias=s["bias"][None]), "constant 'bias' must be int64 [6]"),
    "a value out of its range": (lambda s: s.update(shift=s["shift"] + 1), "constant 'shift' must lie in [24, 24]"),
    "int4 not packed": (
        lambda s: s.update(weight=unpack_int4(s["weight"], 8)),
        "packed tensor 'weight' must be U8 [6, 4]",
    ),
    "int4 of another size": (lambda s: s.update(weight=s["weight"][:, :3]), "packed tensor 'weight' must be U8 [6, 4]"),
}

TEXTS = {
    "spaces": (lambda t: json.dumps(t, sort_keys=True), "must be canonical JSON"),
    "keys unsorted": (lambda t: json.dumps(dict(reversed(t.items())), separators=(",", ":")), "must be canonical JSON"),
    "no JSON": (lambda t: "{", "expected JSON"),
    "NaN": (lambda t: canonical(t).replace('"schema":1', '"schema":NaN'), "found the number NaN"),
    "a key twice": (lambda t: canonical(t).replace('"schema":1', '"schema":1,"schema":1'), "the key 'schema' twice"),
    "deep nesting": (lambda t: "[" * 100_000, "nested at most"),
    "a list": (lambda t: "[]", "expected a JSON dict"),
}
