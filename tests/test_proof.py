"""Is what is proved true of every run, and is what cannot be proved refused by node, tensor and numbers?"""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intref.builder import Builder
from intref.errors import BoundError
from intref.model import Model, Node, TensorInfo, info
from intref.modelfile import open_model
from intref.numbertypes import Interval
from intref.ops import OPS
from intref.ops.op import Attr, Op, Port
from intref.ops.rescale import RULES
from intref.proof import prove
from intref.quantize.scales import exp2_table, gelu_entries
from tiny_models import tiny_inputs, tiny_model

VOCABULARY, WIDTH, HEADS, LONGEST = 7, 4, 2, 6
TOKENS = ("B", "T")


class Grower:
    """A random graph: each step appends the nodes of one idea to a stream [B T D], if they can be proved."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.build = Builder({"B": 3, "T": LONGEST})
        self.mask = self.build.input("mask", "int8", 0, 1, 1)
        self.count = 0
        ids = self.build.input("ids", "int32", 0, VOCABULARY - 1, None)
        dtype, bits = [("int8", 7), ("int16", 15), ("int32", 20)][self.rng.integers(3)]
        table = self.draw(bits, (VOCABULARY, WIDTH))
        self.x = self.node("embedding", {"ids": ids, "table": table.astype(dtype)}, axes=(*TOKENS, WIDTH), dtype=dtype)

    def draw(self, bits: int, shape) -> np.ndarray:
        return self.rng.integers(-(1 << bits), 1 << bits, shape) >> self.rng.integers(0, bits, shape)

    def node(self, op, inputs, attrs=None, axes=None, dtype=None, **more) -> str:
        self.count += 1
        site = f"n{self.count}"
        if dtype is not None:
            inputs = {**inputs, "table": self.build.constant(f"{site}.table", inputs["table"], dtype)}
        made = self.build.node(op, site, inputs, attrs, **{next(iter(OPS[op].outputs)): axes, **more})
        return next(iter(made.values()))

    def wide(self) -> str:
        """The stream as int32 of at most 23 bits."""
        declared = self.build.tensors[self.x]
        fits = declared.dtype == "int32" and max(map(abs, declared.range)) <= 1 << 22
        return self.x if fits else self.narrowed(22)

    def narrowed(self, bits: int) -> str:
        """The stream rescaled to about so many bits."""
        x = self.x
        top, axes = max(map(abs, self.build.tensors[x].range)), self.build.axes(x)
        shift = max(top.bit_length() - bits + int(self.rng.integers(-1, 2)), 0)
        inputs = {
            "x": x,
            "multiplier": np.array([int(self.rng.integers(1 << 29, 1 << 31))]),
            "shift": np.array([shift + 31]),
        }
        attrs = {"rounding": str(self.rng.choice(RULES[:9])), "output": "int8" if bits < 8 else "int32"}
        if bits >= 8:
            attrs |= {"low": -(1 << 22), "high": 1 << 22}
        return self.node("rescale", inputs, attrs, axes)  # of the first nine rules: the others want other shifts

    def rescale(self):
        self.x = self.narrowed(int(self.rng.integers(4, 22)))

    def token(self):
        axes, one = (*TOKENS, WIDTH), (*TOKENS, 1)
        q = self.node("quantize_token", {"x": self.wide()}, axes=axes, mantissa=one, exponent=one)
        weight = self.draw(7, (WIDTH, WIDTH))
        acc = self.node("linear", {"x": q, "weight": weight, "bias": self.draw(10, WIDTH)}, axes=axes)
        inputs = {"x": acc, "mantissa": f"{q}.mantissa", "exponent": f"{q}.exponent"}
        inputs |= {"multiplier": self.rng.integers(0, 1 << 16, WIDTH), "shift": self.rng.integers(9, 40, WIDTH)}
        attrs = {"output": "int32", "low": -(1 << 22), "high": 1 << 22}
        self.x = self.node("rescale_token", {**inputs, "bias": self.draw(20, WIDTH)}, attrs, axes)

    def add(self):
        x = self.wide()
        inputs = {"a": x, "b": x}
        for port, size in (("a", 1), ("b", WIDTH)):
            inputs[f"{port}_multiplier"] = self.rng.integers(-(1 << 31), 1 << 31, size)
            inputs[f"{port}_shift"] = self.rng.integers(28, 40, size)
        attrs = {"rounding": str(self.rng.choice(RULES[:9])), "output": "int32", "low": -(1 << 22), "high": 1 << 22}
        self.x = self.node("add", inputs, attrs, (*TOKENS, WIDTH))

    def norm(self):
        x = self.node("clamp", {"x": self.narrowed(20)}, {"low": -(1 << 20), "high": 1 << 20}, (*TOKENS, WIDTH))
        if self.rng.integers(2):
            inputs = {"x": x, "gain": self.draw(31, WIDTH), "bias": self.draw(50, WIDTH)}
            attrs = {
                "eps": int(self.rng.integers(0, 99)),
                "shift": int(self.rng.integers(9, 50)),
                "low": -999,
                "high": 4444,
            }
            self.x = self.node("layernorm_fixed", inputs, attrs, (*TOKENS, WIDTH))
        else:
            inputs, attrs = {"x": x, "bias": self.draw(40, WIDTH)}, {"shift": int(self.rng.integers(0, 9))}
            self.x = self.node("layernorm_ibert", inputs, attrs, (*TOKENS, WIDTH))

    def attention(self):
        q = self.narrowed(7)
        heads = ("B", HEADS, "T", WIDTH // HEADS)
        a = self.node("split_heads", {"x": q}, {"heads": HEADS}, heads)
        b = self.node("transpose", {"x": a}, axes=("B", HEADS, WIDTH // HEADS, "T"))
        s = self.node("matmul", {"a": a, "b": b}, axes=("B", HEADS, "T", "T"))
        inputs = {"x": s, "mask": self.mask, "table": self.build.constant("exp2", exp2_table(), "int32")}
        inputs |= {"multiplier": self.rng.integers(0, 1 << 31, HEADS), "shift": self.rng.integers(10, 40, HEADS)}
        p = self.node("softmax_exp2", inputs, axes=("B", HEADS, "T", "T"), total=("B", HEADS, "T", 1))
        c = self.node("matmul", {"a": p, "b": a}, axes=heads)
        inputs = {"x": c, "total": f"{p}.total", "multiplier": self.rng.integers(0, 1 << 24, HEADS)}
        inputs |= {"shift": self.rng.integers(1, 38, HEADS)}
        y = self.node("rescale_quotient", inputs, {"output": "int32", "low": -(1 << 22), "high": 1 << 22}, heads)
        self.x = self.node("merge_heads", {"x": y}, axes=(*TOKENS, WIDTH))

    def gelu(self):
        inputs = {"x": self.wide(), "table": self.build.constant("gelu", gelu_entries(), "int32")}
        self.x = self.node("gelu_table", inputs, {"fraction": int(self.rng.integers(6, 24))}, (*TOKENS, WIDTH))

    def pool(self):
        """A side branch: the stream goes on."""
        y = self.node("mean_pool", {"x": self.wide(), "mask": self.mask}, axes=("B", WIDTH))
        self.build.outputs[f"pooled{self.count}"] = y
        position = self.node("positions", {"mask": self.mask}, {"form": "count", "start": 1}, TOKENS)
        self.build.outputs[f"positions{self.count}"] = position

    def finish(self) -> Model:
        self.build.outputs["y"] = self.x
        return self.build.model({})


IDEAS = ("rescale", "token", "add", "norm", "attention", "gelu", "pool")


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1), ideas=st.lists(st.sampled_from(IDEAS), min_size=1, max_size=5))
def test_does_every_tensor_of_every_run_lie_in_its_proved_range(seed, ideas):
    grower = Grower(seed)
    for idea in ideas:
        getattr(grower, idea)()
    model = grower.finish()
    ranges = model.proof().ranges
    for length in (1, 2, LONGEST):
        ids = grower.rng.integers(0, VOCABULARY, (2, length))
        mask = grower.rng.integers(0, 2, (2, length))
        for name, value in model.run({"ids": ids, "mask": mask}, "reference", "all").trace.items():
            low, high = ranges[name]
            assert low <= value.min() <= value.max() <= high, (name, length)
            assert [*value.shape] == [{"B": 2, "T": length}.get(axis, axis) for axis in model.tensors[name].axes], name


def test_are_the_ranges_the_declared_ones_and_reached_where_they_can_be():
    model = tiny_model()
    proof = prove(model)
    assert proof.ranges.keys() == model.tensors.keys() and len(proof.widest) == len(model.nodes)
    for name, (low, high) in proof.ranges.items():
        declared = model.tensors[name]
        assert (low, high) == declared.range and info(declared.dtype, declared.axes, low, high) == declared, name
    assert proof.ranges["clipped"] == (-5, 5) and proof.ranges["q"] == (-127, 127)
    weight = model.constants["weight"].astype(int)
    assert proof.ranges["L0.acc"] == tuple(int(s * 127 * np.abs(weight).sum(axis=1).max()) for s in (-1, 1))


def narrowed_declaration(model: Model, name: str, low: int, high: int) -> Model:
    old = model.tensors[name]
    return replace(
        model, tensors={**model.tensors, name: TensorInfo(old.dtype, old.bits, old.signed, old.axes, low, high)}
    )


@pytest.mark.parametrize("name, low, high", [("q", -126, 127), ("L0.scores", -96774, 96773), ("pooled", 0, 127)])
def test_is_a_tighter_range_than_provable_refused_by_node_tensor_and_numbers(name, low, high):
    proved = tiny_model().proof().ranges[name]
    with pytest.raises(BoundError) as caught:
        narrowed_declaration(tiny_model(), name, low, high).proof()
    message = str(caught.value)
    assert f"tensor {name!r} is declared in [{low}, {high}], but [{proved[0]}, {proved[1]}]" in message
    assert re.match(r"node at\.\w+ \(op \w+\)", message) and "\n" not in message


def test_is_a_looser_range_accepted():
    model = narrowed_declaration(tiny_model(), "clipped", -100, 100)
    assert model.proof().ranges["clipped"] == (-5, 5)


def accumulator(k: int, bias: int = 0, value: int = 127) -> Builder:
    build = Builder({"B": 1, "T": 1})
    ids = build.input("ids", "int32", 0, 0, None)
    x = build.node(
        "embedding", "x", {"ids": ids, "table": build.constant("t", np.full((1, k), 127), "int8")}, y=(*TOKENS, k)
    )
    inputs = {"x": x["y"], "weight": np.full((1, k), value), "bias": np.array([bias])}
    build.outputs["y"] = build.node("linear", "acc", inputs, y=(*TOKENS, 1))["y"]
    return build


def test_where_does_an_int32_accumulator_end():
    longest = (2**31 - 1) // 127**2
    assert accumulator(longest).tensors["acc"].high == longest * 127**2
    with pytest.raises(
        BoundError, match=rf"node acc \(op linear\): tensor 'acc' is int32, but may reach .*{(longest + 1) * 127**2}\]"
    ):
        accumulator(longest + 1)
    longest = 2**31 // (127 * 128)  # of the other sign
    accumulator(longest, value=-128)
    with pytest.raises(BoundError, match="'acc' is int32"):
        accumulator(longest + 1, value=-128)


def test_where_does_the_accumulator_of_scaled_int4_groups_end():
    """The scales of the groups and the nibbles themselves bound it: 127 * 7 * (1000 + 2000) for each pair of k."""

    def grouped(scale: int) -> Builder:
        build = Builder({"B": 1, "T": 1})
        ids = build.input("ids", "int32", 0, 0, None)
        table = build.constant("t", np.full((1, 5), 127), "int8")
        x = build.node("embedding", "x", {"ids": ids, "table": table}, y=(*TOKENS, 5))["y"]
        inputs = {"x": x, "weight": np.array([[0x77, 0x77, 0x07]]), "scale": np.array([[1000, 2000, scale]])}
        inputs["bias"] = np.array([2**31 - 1 - 127 * 7 * 2 * 3000 - 127 * 7 * 9])
        build.outputs["y"] = build.node("linear_int4", "acc", inputs, {"group_size": 2}, y=(*TOKENS, 1))["y"]
        return build

    assert grouped(9).tensors["acc"].range == (2**31 - 1, 2**31 - 1)
    assert grouped(-9).tensors["acc"].high == 2**31 - 1 - 2 * 127 * 7 * 9
    with pytest.raises(BoundError, match=r"node acc \(op linear_int4\): tensor 'acc' is int32, but may reach"):
        grouped(10)


def test_is_a_model_with_packed_int4_weights_saved_and_run(tmp_path):
    build = Builder({"B": 2, "T": 3})
    ids = build.input("ids", "int32", 0, 3, None)
    table = build.constant("t", np.arange(-10, 10).reshape(4, 5), "int8")
    x = build.node("embedding", "x", {"ids": ids, "table": table}, y=(*TOKENS, 5))["y"]
    inputs = {"x": x, "weight": np.array([[0xF2, 0x83, 0x07]]), "scale": np.array([[3, -2]]), "bias": np.array([7])}
    build.outputs["y"] = build.node("linear_int4", "acc", inputs, {"group_size": 4}, y=(*TOKENS, 1))["y"]
    build.model({}).save(tmp_path / "m.safetensors")
    model = open_model(tmp_path / "m.safetensors")
    for backend in ("reference", "fast"):
        y = model.run({"ids": np.array([[0, 3, 1], [2, 2, 0]])}, backend).outputs["y"]
        rows = model.constants["t"].astype(int)[[0, 3, 1, 2, 2, 0]]
        assert y.ravel().tolist() == [3 * int(r[:4] @ [2, -1, 3, -8]) - 2 * int(r[4]) * 7 + 7 for r in rows]


def test_is_a_bias_that_overflows_the_accumulator_refused():
    accumulator(1, 2**31 - 1 - 127**2)
    with pytest.raises(
        BoundError, match=rf"node acc \(op linear\): tensor 'acc' is int32, but may reach \[{2**31}, {2**31}\]"
    ):
        accumulator(1, 2**31 - 127**2)


def test_does_a_sum_over_tokens_count_the_longest_sequence():
    def scored(longest: int) -> Builder:
        build = Builder({"B": 1, "T": longest})
        ids = build.input("ids", "int32", 0, 1, None)
        table = build.constant("t", np.array([[-128], [127]]), "int8")
        x = build.node("embedding", "x", {"ids": ids, "table": table}, y=(*TOKENS, 1))["y"]
        turned = build.node("transpose", "xt", {"x": x}, y=("B", 1, "T"))["y"]
        build.node("matmul", "gram", {"a": turned, "b": x}, y=("B", 1, 1))
        return build

    longest = (2**31 - 1) // 128**2
    assert scored(longest).tensors["gram"].range == (-128 * 127 * longest, 128**2 * longest)
    with pytest.raises(BoundError, match=r"node gram \(op matmul\): tensor 'gram' is int32"):
        scored(longest + 1)


def test_must_parameters_be_constants():
    build = Builder({"B": 1, "T": 1})
    build.inputs["m"] = None
    build.tensors["m"] = info("int32", (1,), 0, 2**31 - 1)
    build.prover.given("m", build.tensors["m"])
    x = build.input("x", "int32", -(2**31), 2**31 - 1, None)
    wide = {"x": x, "multiplier": np.array([2**30]), "shift": np.array([0])}
    y = build.node("rescale", "wide", wide, {"rounding": "floor", "output": "int64"}, y=TOKENS)["y"]
    inputs = {"x": y, "multiplier": "m", "shift": np.array([0])}
    with pytest.raises(
        BoundError, match=r"node hole \(op rescale\): input 'multiplier' must be a constant to be proved"
    ):
        build.node("rescale", "hole", inputs, {"rounding": "floor", "output": "int64"}, y=TOKENS)


def test_does_a_node_that_breaks_its_contract_say_so():
    model = tiny_model()
    nodes = [*model.nodes]
    nodes[8] = replace(nodes[8], attrs={"low": 6, "high": 5})
    with pytest.raises(
        BoundError,
        match=r"^node at\.clamp \(op clamp\) is not proved .*low <= high.*\(C5\); inputs x 'pooled' in \[-127, 127\]$",
    ):
        replace(model, nodes=tuple(nodes)).proof()


def test_are_symbols_followed_through_every_op():
    build = Builder({"B": 2, "T": 3})
    ids = build.input("ids", "int32", 0, 1, None)
    table = build.constant("t", np.ones((2, 4), np.int8), "int8")
    x = build.node("embedding", "x", {"ids": ids, "table": table}, y=(*TOKENS, 4))["y"]
    turned = build.node("transpose", "xt", {"x": x}, y=("B", 4, "T"))["y"]
    with pytest.raises(BoundError, match=r"node s .*is declared with axes"):
        build.node("split_heads", "s", {"x": turned}, {"heads": 1}, y=("B", 1, 4, 1))  # T vanishes into a size
    other = build.input("other", "int32", 0, 1, None)
    build.tensors[other] = info("int32", ("B", "B"), 0, 1)
    build.prover.given(other, build.tensors[other])
    y = build.node("embedding", "y", {"ids": other, "table": table}, y=("B", "B", 4))["y"]
    one = {f"{port}_{what}": np.array([1]) for port in "ab" for what in ("multiplier", "shift")}
    with pytest.raises(BoundError, match=r"node sum .* tensor 'y' has B where another input has T"):
        build.node("add", "sum", {"a": x, "b": y, **one}, {"rounding": "floor", "output": "int8"}, y=(*TOKENS, 4))


def test_does_a_proved_model_run_at_its_largest_sizes():
    model, inputs = tiny_model(), tiny_inputs()
    ids = np.resize(inputs["input_ids"], (4, 16))
    ranges = model.proof().ranges
    for name, value in model.run({"input_ids": ids}, "reference", "all").trace.items():
        assert ranges[name][0] <= value.min() and value.max() <= ranges[name][1], name


def test_is_a_graph_too_large_to_prove_refused_at_once():
    build = Builder({"B": 1, "T": 1 << 20})
    ids = build.input("ids", "int32", 0, 0, None)
    table = build.constant("t", np.zeros((1, 1 << 10), np.int8), "int8")
    x = build.node("embedding", "x", {"ids": ids, "table": table}, y=(*TOKENS, 1 << 10))["y"]
    mask = build.input("mask", "int8", 0, 1, 1)
    with pytest.raises(BoundError, match=r"^node p \(op mean_pool\): tensor .* is too large to be proved"):
        build.node("mean_pool", "p", {"x": x, "mask": mask}, y=("B", 1 << 10))


def test_is_the_node_named_by_its_op_where_it_has_no_site():
    model = tiny_model()
    nodes = tuple(Node(n.op, n.inputs, n.outputs, n.attrs) for n in model.nodes)
    with pytest.raises(BoundError, match=r"^node quantize_token \(op quantize_token\): tensor 'q'"):
        narrowed_declaration(replace(model, nodes=nodes), "q", 0, 127).proof()


def cube(x, *, shift):
    """y = floor(x**3 / 2**shift)."""
    return {"y": x * x * x >> shift}


@pytest.mark.parametrize("bits, fits", [(21, True), (22, False)])
def test_is_an_intermediate_of_more_than_64_bits_refused(monkeypatch, bits, fits):
    op = Op(cube, {"x": Port("int32", "...")}, {"shift": Attr(0, 62)}, {"y": Port("int32", "...")})
    monkeypatch.setitem(OPS, "cube", op)
    build = Builder({"B": 2, "T": 3})
    x = build.input("x", "int32", -(1 << bits), (1 << bits) - 1, None)
    if fits:
        build.node("cube", "n", {"x": x}, {"shift": 40}, y=TOKENS)
        return
    told = r"node n \(op cube\) is not proved free of overflow: intermediate multiply.* may need 67 bits, int64 has 64"
    with pytest.raises(BoundError, match=told):
        build.node("cube", "n", {"x": x}, {"shift": 40}, y=TOKENS)


@pytest.mark.parametrize("op", ["l2_normalize", "quantize_token", "layernorm_fixed"])
def test_is_a_symbolic_width_proved_at_its_largest(op):
    build = Builder({"B": 2, "T": 1 << 15})
    x = build.input("x", "int32", -(1 << 23), 1 << 23, None)
    attrs = {"l2_normalize": {"fraction": 30}}.get(op, {})
    if op == "quantize_token":
        build.node(op, "n", {"x": x}, q=TOKENS, mantissa=("B", 1), exponent=("B", 1))
        return
    with pytest.raises(BoundError, match="node n "):
        if op == "layernorm_fixed":
            constants = {"gain": np.ones(1 << 15, np.int32), "bias": np.zeros(1 << 15, np.int64)}
            attrs = {"eps": 1, "shift": 1, "low": -1, "high": 1}
            build.node(op, "n", {"x": x, **constants}, attrs, y=TOKENS)
        build.node(op, "n", {"x": x}, attrs, y=TOKENS)


def test_is_a_product_of_two_large_unknown_matrices_refused():
    build = Builder({"B": 1, "T": 1 << 10})
    x = build.input("x", "int8", -128, 127, None)
    y = build.input("y", "int8", -128, 127, None)
    wide = build.node("transpose", "t", {"x": y}, y=("T", "B"))["y"]
    build.node("matmul", "small", {"a": x, "b": wide}, y=("B", "B"))
    build.prover.intervals["x"] = Interval(np.full((1 << 9, 1 << 9), -128), np.full((1 << 9, 1 << 9), 127), "int8")
    build.prover.axes["x"] = (1 << 9, 1 << 9)
    with pytest.raises(BoundError, match="a product of 134217728 terms, neither side constant, is too large"):
        build.node("matmul", "large", {"a": x, "b": x}, y=(1 << 9, 1 << 9))


def widened(x, *, shift):
    """y = x * 2**shift / 2**shift."""
    return {"y": x << shift >> shift}


@pytest.mark.parametrize("shift, fits", [(32, True), (33, False)])
def test_are_64_bits_the_last_that_fit(monkeypatch, shift, fits):
    op = Op(widened, {"x": Port("int32", "...")}, {"shift": Attr(0, 62)}, {"y": Port("int32", "...")})
    monkeypatch.setitem(OPS, "widened", op)
    build = Builder({"B": 2, "T": 3})
    x = build.input("x", "int32", -(1 << 31), (1 << 31) - 1, None)
    if fits:
        build.node("widened", "n", {"x": x}, {"shift": shift}, y=TOKENS)
        return
    with pytest.raises(BoundError, match=r"intermediate left_shift.* may need 65 bits, int64 has 64"):
        build.node("widened", "n", {"x": x}, {"shift": shift}, y=TOKENS)


def test_do_bounds_hold_for_the_shortest_sequence_as_well():
    build = Builder({"B": 2, "T": 6})
    a = build.input("a", "int8", 26, 46, None)
    b = build.node("transpose", "bt", {"x": build.input("b", "int8", 11, 20, None)}, y=("T", "B"))["y"]
    build.node("matmul", "ab", {"a": a, "b": b}, y=("B", "B"))
    assert build.tensors["ab"].range == (26 * 11, 6 * 46 * 20)


@pytest.mark.parametrize("scale", [-0.5, 0.0, float("nan"), float("inf")])
def test_is_a_scale_refused_that_no_model_file_takes(scale):
    build = Builder({"B": 1, "T": 1})
    with pytest.raises(BoundError, match="x: a scale must be positive and finite, not "):
        build.scale("x", scale)
