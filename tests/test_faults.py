"""The catalogue of devices' bugs: is each what it says, computed here by itself; what proves one harmless is sound."""

import ast
import inspect
import textwrap

import numpy as np
import pytest

from intref.faults import equivalent, masks, operators, primitives, roots
from intref.faults.changes import changes
from intref.faults.mechanical import mutants, rebound, vocabulary_mutants
from intref.faults.operators import WRONG as OPERATORS
from intref.faults.primitives import WRONG as PRIMITIVES
from intref.faults.proofs import harmless, recorded
from intref.faults.variants import lazily, variants
from intref.faults.widths import saturated, wrapped
from intref.ops import OPS
from intref.selftest import named_faults
from intref.vectors import cases

TABLES = {**OPERATORS, **PRIMITIVES}


def made(op, tensors, **attrs):
    return dict(variants(OPS[op], tensors, OPS[op].check(tensors, attrs)))


def linear(x, weight, bias=0, dtype=np.int8):
    weight = np.array(weight, np.int8)
    bias = np.zeros(len(weight), np.int32) + np.array(bias, np.int32)
    return {"x": np.array(x, dtype), "weight": weight, "bias": bias.astype(np.int32)}


def test_is_every_fault_named_once_in_a_call():
    for op in OPS:
        for case in cases(op)[:3]:
            words = [words for words, _ in lazily(OPS[op], case.tensors, OPS[op].check(case.tensors, case.attrs))]
            assert len(words) == len({*words}), op


DEVICES_DO = {
    "linear": """accumulator saturated to 16 bits|accumulator wrapped to 31 bits|no bias|bias added twice
        pairs of products saturated to 16 bits|accumulator saturated to 24 bits after every 8 terms|x read as uint8
        accumulation: without the terms past the last whole 16|last tile of 32 channels in reverse|weight transposed
        last tile of 8 channels stale: values of the tile before|outputs with rows one late""",
    "linear_int4": "nibbles swapped|group index one too high|rows packed without padding|low nibbles without a sign",
    "rescale": """half_even -> rule half_up|gemmlowp_double -> rule tosa_double|floor -> rule fp32_half_even
        multiplier cut to 24 bits|multiplier rounded to 24 bits|multiplier + 1|shift - 1|clip: the wrong side
        clip: high one too low|no saturation (the result wraps)|the first multiplier for all|multiplier read as uint32
        output_zero_point added after the clip|no input_zero_point|scaling: the product wrapped to 64 bits
        scaling: rounded twice, half_up at 31 bits and half_even after it""",
    "rescale_token": """bias added after the rescale, rounded by half_up|rule fp32_half_even|right shift: by at most 31
        product 2 of 2: wrapped to 32 bits|right shift: logical, of 32 bits""",
    "softmax_ibert": """mask one element late|mask ignored|mask turned round|masked elements counted in the sum
        maximum: 0: it is not taken|maximum: of all rows together|sum: wrapped to 16 bits|quotient 1 of 2: one too high
        masked elements counted in the maximum|right shift: by the low 5 bits of the amount|rule half_up""",
    "layernorm_fixed": """root: 4 Newton steps from 2**16|root: one too high|root: in floats of 53 bits|no eps
        root: Newton from 2**16, stopped where it does not fall|0 for a row of equal elements|mean not subtracted
        sum 2 of 2: divided by one less than the number of terms|squares of x, not of its distance from the mean
        rule toward_zero at rounding 1 of 3|quotient: by a reciprocal of 32 bits""",
    "table": "lookup: the sign of the index misread|lookup: index one too high, around the ends",
}


@pytest.mark.parametrize("op", DEVICES_DO)
def test_does_the_catalogue_hold_what_devices_do(op):
    named = set()
    for case in cases(op):
        named |= {words for words, _ in named_faults(OPS[op], case.tensors, OPS[op].check(case.tensors, case.attrs))}
    assert {words.strip() for line in DEVICES_DO[op].splitlines() for words in line.split("|")} <= named


def test_does_a_device_wrap_where_the_reference_refuses():
    """128 * 128 * 2**17 = 2**31 fits with a bias of -5; without it the sum wraps."""
    most = np.full((1, 1 << 17), -128, np.int8)
    tensors = linear(most, most, -5)
    assert made("linear", tensors)["no bias"]["y"].tolist() == [[-(1 << 31)]]


def test_is_a_clip_one_beyond_int64_no_clip():
    attrs = {"rounding": "half_even", "output": "int64"}
    tensors = {"x": np.array([5, -5]), "multiplier": np.array([2], np.int32), "shift": np.array([0], np.int8)}
    found = made("rescale", tensors, **attrs)
    assert found["clip: low one too low"]["y"].tolist() == found["clip: high one too high"]["y"].tolist() == [10, -10]


def test_do_accumulators_saturate_where_they_say():
    """100 * 100 eleven times, then its negative eleven times: 0, but for a register of 16 bits."""
    x, weight = [100] * 22, [[100] * 11 + [-100] * 11]
    found = {words: int(y["y"][0]) for words, y in made("linear", linear(x, weight)).items()}
    total = 0
    for a, b in zip(x, weight[0]):
        total = min(max(total + a * b, -32768), 32767)
    assert found["accumulator saturated to 16 bits at every step"] == total == -32768
    total = 0
    for start in range(0, 22, 4):
        total += sum(a * b for a, b in zip(x[start : start + 4], weight[0][start : start + 4]))
        total = min(max(total, -32768), 32767)
    assert found["accumulator saturated to 16 bits after every 4 terms"] == total


def test_are_pairs_of_products_saturated_as_maddubs_does():
    found = made("linear", linear([255, 255, 255], [[127, 127, 127]], dtype=np.uint8))
    assert found["pairs of products saturated to 16 bits"]["y"].tolist() == [32767 + 255 * 127]
    assert found["pairs of products wrapped to 16 bits"]["y"].tolist() == [2 * 255 * 127 - 65536 + 255 * 127]


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_are_registers_what_numpy_and_clipping_make_of_them(bits):
    x = np.array([0, 1, -1, 127, 128, -129, 40_000, -40_000, 1 << 31, -(1 << 31) - 1, (1 << 40) + 5])
    assert wrapped(x, bits).tolist() == x.astype(f"int{bits}").tolist()
    ends = np.iinfo(f"int{bits}")
    assert saturated(x, bits).tolist() == [min(max(int(v), ends.min), ends.max) for v in x]


def test_are_nibbles_swapped_in_every_byte():
    tensors = {
        "x": np.array([1, 10, 100], np.int8),
        "weight": np.array([[0x2F, 0x03]], np.uint8),  # -1, 2, 3
        "scale": np.array([[1, 1]], np.int16),
        "bias": np.zeros(1, np.int32),
    }
    found = made("linear_int4", tensors, group_size=2)
    assert found["nibbles swapped"]["y"].tolist() == [2 - 10 + 0]
    assert found["nibbles without a sign"]["y"].tolist() == [15 + 20 + 300]
    assert found["last nibble of an odd row dropped"]["y"].tolist() == [-1 + 20]
    assert found["low nibbles without a sign"]["y"].tolist() == [15 + 20 + 300]


def test_is_the_group_index_one_off():
    tensors = {
        "x": np.array([1, 1, 1, 1], np.int8),
        "weight": np.array([[0x11, 0x11]], np.uint8),
        "scale": np.array([[5, 70]], np.int16),
        "bias": np.zeros(1, np.int32),
    }
    found = {words: int(y["y"][0]) for words, y in made("linear_int4", tensors, group_size=2).items()}
    assert found["group index one too high"] == 280
    assert found["group begins one k early"] == 5 + 3 * 70
    assert found["group begins one k late"] == 3 * 5 + 70
    assert found["group 0 for all"] == 20


def test_does_the_last_tile_come_out_of_order_or_stale():
    x = np.arange(11, dtype=np.int8)
    found = {words: y["y"].tolist() for words, y in made("clamp", {"x": x}, low=-128, high=127).items()}
    assert found["last tile of 4 channels in reverse"] == [*range(8), 10, 9, 8]
    assert found["last tile of 4 channels stale: values of the tile before"] == [*range(8), 4, 5, 6]
    assert found["last tile of 8 channels not written"] == [*range(8), 0, 0, 0]
    assert not any("tile of 16" in words for words in found)


def test_are_masks_one_off():
    mask = np.array([[0, 1, 1, 0, 1]])
    found = dict(masks._masks(mask))
    assert found["turned round"].tolist() == [[1, 0, 0, 1, 0]]
    assert found["one element longer"].tolist() == [[0, 1, 1, 1, 1]]
    assert found["one element shorter"].tolist() == [[0, 1, 0, 0, 0]]
    assert found["taken for a length"].tolist() == [[1, 1, 1, 0, 0]]


def test_are_masked_keys_counted_in_the_sum_alone():
    x, mask = np.array([[[[0, 0, 0, 0]]]], np.int32), np.array([[1, 1, 0, 0]], np.int8)
    attrs = {"ln2": 6, "b": 21, "c": 178, "multiplier": 1544210777, "shift": 53}
    found = made("softmax_ibert", {"x": x, "mask": mask}, **attrs)
    assert found["masked elements counted in the sum"]["p"].ravel().tolist() == [63, 63, 0, 0]
    assert found["mask ignored"]["p"].ravel().tolist() == [63, 63, 63, 63]


@pytest.mark.parametrize("words", [words for words, _ in roots.roots()])
def test_is_every_wrong_root_right_somewhere_and_wrong_somewhere(words):
    v = np.array([0, 1, 2, 3, 4, 15, 16, 24, 99, 65535**2 - 1, 65536**2, 1 << 40, (1 << 31) ** 2 - 1, 12345678**2 - 1])
    wrong = dict(roots.roots())[words](v)
    same = [int(w) == int(np.floor(np.sqrt(np.longdouble(int(x))))) for w, x in zip(wrong, v)]
    assert not all(same) and (any(same) or words in ("one too high", "one Newton step too few"))


def test_is_a_float_root_what_numpy_gives():
    v = np.array([1, 2, 3, 10**6 + 1, 8193**2 - 1, (1 << 53) + 1, 94906267**2 - 1, (1 << 61) + 12345, 143165577**2 - 1])
    found = dict(roots.roots())
    assert found["in floats of 53 bits"](v).tolist() == np.floor(np.sqrt(v.astype(np.float64))).astype(int).tolist()
    assert found["in floats of 24 bits"](v).tolist() == np.floor(np.sqrt(v.astype(np.float32))).astype(int).tolist()


@pytest.mark.parametrize("op", ["rescale_token", "quantize_token", "gelu_table", "softmax_exp2", "rescale"])
def test_is_nothing_proved_harmless_that_a_vector_shows(op):
    proved, applied = harmless(OPS[op], TABLES), set()
    double = [case for case in cases(op) if case.attrs.get("rounding") == "gemmlowp_double"]
    for case in (*cases(op)[-8:], *double[:4]):
        attrs = OPS[op].check(case.tensors, case.attrs)
        golden = OPS[op].run(case.tensors, attrs)
        for words, runs in named_faults(OPS[op], case.tensors, attrs):
            if words in proved:
                applied.add(words)
                assert all(np.array_equal(y, golden[port]) for port, y in runs().items()), (words, case.why)
    assert applied


def test_is_a_narrow_register_proved_only_where_bounds_allow():
    proved = harmless(OPS["rescale_token"], TABLES)
    assert "difference: wrapped to 32 bits" in proved  # shift - exponent
    assert not any(words.startswith("product") for words in proved)  # up to 2**62


@pytest.mark.parametrize("op", OPS)
def test_are_uses_counted_alike_on_arrays_and_on_intervals(op):
    """A fault of use i is proved harmless on intervals: use i must be the same one that a run on arrays counts."""
    words = {words for case in cases(op) for words, _ in watched(OPS[op], case)}
    places = {name for name, _ in TABLES.values()}
    known = set()
    if op in ("positions", "mean_pool", "linear", "matmul", "linear_int4", "conv2d", "max_pool", "qlinear_add"):
        pytest.skip("long bounds, no operator watched, or clips of indices or attributes, that are no intervals")
    for uses in recorded(OPS[op]):
        for what, (name, wrongs) in TABLES.items():
            found = sum(use.what == what or (what == "absolute" and use.what is np.absolute) for use in uses)
            for i in range(found):
                place = f" {i + 1} of {found}" if found > 1 else ""
                known |= {f"{name}{place}: {wrong.words}" for wrong in wrongs}
    assert {w for w in words if w.partition(":")[0].partition(" ")[0] in {p.split()[0] for p in places}} <= known


def watched(op, case):
    attrs = op.check(case.tensors, case.attrs)
    yield from operators.faults(op, case.tensors, attrs)
    yield from primitives.faults(op, case.tensors, attrs)


def test_do_the_reasons_name_what_there_is():
    assert equivalent.FAULTS.keys() <= OPS.keys()
    kinds = {word for word, _, _ in vocabulary_mutants()}
    for pattern in equivalent.VOCABULARY:
        assert any(equivalent.why_equivalent(word, "", {pattern: {"*": "."}}) for word in kinds), pattern


def body(x, low, high, *, rule):
    """Not a mutant."""
    y = x - low
    if rule == "floor":
        y = y + 1
    return {"y": y if low < x <= high and not rule else -y}


def changed(*wanted):
    names = {name for name, _ in mutants(body, {"rule"})}
    return [w for w in wanted if w not in names]


def test_does_a_mutant_change_every_kind_of_node():
    last = "in return {'y': y if low < x <= high and (not rule) else -y}"
    assert not changed(
        "x - low -> x + low in y = x - low",
        "x - low -> low - x in y = x - low",
        "x -> -x in y = x - low",
        f"low < x <= high -> low <= x <= high {last}",
        f"low < x <= high -> low < x < high {last}",
        f"not rule -> rule {last}",
        f"low < x <= high and (not rule) -> low < x <= high or not rule {last}",
        f"-y -> y {last}",
        "rule == 'floor' -> rule != 'floor' in if rule == 'floor':",
        "'floor' -> 'ceil' in if rule == 'floor':",
        "left out: y = y + 1",
    )


def test_is_a_mutant_the_function_that_its_name_says():
    by_name = dict(mutants(body, {"rule"}))
    assert body(7, 2, 9, rule="floor") == {"y": -6}
    assert by_name["left out: y = y + 1"](7, 2, 9, rule="floor") == {"y": -5}
    assert by_name["x - low -> x + low in y = x - low"](7, 2, 9, rule="") == {"y": 9}


def _doubled(x):
    return 2 * x


def _made_of_parts(x):
    return {"y": _doubled(x) + 1}


def test_are_the_functions_a_body_is_made_of_mutated_too():
    by_name = dict(mutants(_made_of_parts, set()))
    assert _made_of_parts(3) == {"y": 7}
    assert by_name["_doubled: 2 -> 3 in return 2 * x"](3) == {"y": 10}
    assert by_name["_doubled(x) + 1 -> _doubled(x) - 1 in return {'y': _doubled(x) + 1}"](3) == {"y": 5}


def test_are_the_words_of_the_vocabulary_mutated_and_the_rest_left_alone():
    kinds, seen = {}, False
    for word, name, space in vocabulary_mutants():
        kinds.setdefault(word, []).append(name)
        if name == "x + (1 << shift >> 1) -> x - (1 << shift >> 1) in return x + (1 << shift >> 1) >> shift":
            assert space["shift_half_up"](np.array([5]), 1).tolist() == [2]
            t = {k: np.array([v]) for k, v in {"x": 256, "mantissa": 1, "exponent": 0, "multiplier": 1}.items()}
            t |= {"shift": np.array([0]), "bias": np.array([128])}
            attrs = {"output": "int8", "low": -128, "high": 127}
            assert OPS["rescale_token"].reference(**t, **attrs)["y"].tolist() == [2]
            assert rebound(OPS["rescale_token"].reference, space)(**t, **attrs)["y"].tolist() == [1]
            seen = True
    assert seen and {"mul_shift", "divide", "bitlen", "wrap_int32", "saturate", "ROUNDS_UP[half_even]"} <= kinds.keys()
    assert not {"within", "narrow"} & kinds.keys()
    assert sum(map(len, kinds.values())) > 900


def test_is_every_changed_tree_put_back():
    tree = ast.parse(textwrap.dedent(inspect.getsource(body))).body[0]
    before = ast.unparse(tree)
    for _ in changes(tree, {"rule"}):
        pass
    assert ast.unparse(tree) == before
