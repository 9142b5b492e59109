"""Does the coverage of arithmetic say what a call did, and do the directed cases reach everything there is to reach?"""

import json
import math
import re
from collections import Counter

import numpy as np
import pytest

from intref.cli.main import main
from intref.coverage import Coverage, level1, of_package
from intref.coverage.body import body
from intref.coverage.ledger import plan, reached
from intref.coverage.sites import newton_steps
from intref.coverage.unreachable import ARGUED
from intref.errors import FormatError, SpecError
from intref.golden import read_golden, suite_path, write_op_golden
from intref.modelfile import canonical
from intref.ops import OPS
from intref.selftest import published
from intref.vectors import cases, still_open
from intref.vectors.drawn import drawn
from intref.vectors.operands import rescale_case

MOVERS = ("split_heads", "merge_heads", "transpose", "select_token", "reshape", "swap_axes")
ROUNDS = "mul_shift(centered, multiplier, shift, rounding)"


@pytest.fixture(params=OPS)
def op_name(request):
    return request.param


def call_of(x, multiplier=1, shift=1, rule="half_even", **more):
    case = rescale_case("", "", x, multiplier, shift, rule, **more)
    return reached("rescale", case.tensors, case.attrs)


def test_level_1_reaches_every_bin_that_can_be_reached(op_name):
    found = level1(op_name)
    left = {f"bin: {name}" for name in found.missing(op_name)}
    assert left == {goal for goal in still_open(op_name) if goal.startswith("bin: ")}
    assert found.refuted(op_name) == []
    assert found.hit(op_name) + len(left) == found.total(op_name) > 0
    assert published()["ops"][op_name]["coverage"] == found.counts(op_name)


def test_a_body_that_is_listened_to_computes_what_the_reference_computes(op_name):
    op, heard = OPS[op_name], []
    for case in cases(op_name)[:40]:
        attrs = op.check(case.tensors, case.attrs)
        made = body(op_name).listen(case.tensors, attrs, lambda site, args, result: heard.append(site))
        for port, want in op.run(case.tensors, attrs).items():
            assert np.array_equal(np.asarray(made[port]), want), case.why
    assert bool(heard) == (op_name not in MOVERS)


def test_random_calls_hit_nothing_that_is_listed_as_unreachable(op_name):
    found = Coverage()
    for number in range(25):
        case = drawn(op_name, number, seed=11)
        found.add(op_name, case.tensors, case.attrs)
    assert found.refuted(op_name) == []


def test_every_argument_is_needed():
    for op_name, reasons in ARGUED.items():
        said = Counter(plan(op_name).unreachable.values())
        for pattern, why in reasons.items():
            matched = [name for name, given in plan(op_name).unreachable.items() if re.fullmatch(pattern, name)]
            assert said[why] and any(plan(op_name).unreachable[name] == why for name in matched), (op_name, pattern)


@pytest.mark.parametrize(
    ("x", "label"),
    [
        (1, "tie above even, not negative"),
        (3, "tie above odd, not negative"),
        (-1, "tie above odd, negative"),
        (-3, "tie above even, negative"),
        (2, "exact, not negative"),
        (-2, "one below a tie, negative"),
        (0, "one above a tie, not negative"),
    ],
)
def test_a_tie_is_named_by_sign_and_parity(x, label):
    assert call_of([x])[f"{ROUNDS} | half_even: {label}"] == 1


def test_each_rule_has_its_own_bins():
    counts = call_of([1, 1, 3], rule="half_up")
    assert counts[f"{ROUNDS} | half_up: tie above even, not negative"] == 2
    assert not any("half_even" in name for name in counts if ROUNDS in name)


def test_quarters_lie_below_and_above_the_tie():
    counts = call_of([1, 3, -1, -3], shift=2)
    for label in ("below the tie, not negative", "above the tie, not negative", "below the tie, negative"):
        assert counts[f"{ROUNDS} | half_even: {label}"] == 1, label


def test_a_clip_knows_one_from_many():
    x = [2 * v for v in (-999, -129, -128, 0, 127, 128, 999)]
    counts = call_of(x)
    clip = "saturate(scaled + output_zero_point, low, high) | to int8: "
    words = ("far below low", "one below low", "at low", "inside", "at high", "one above high", "far above high")
    assert [counts[clip + word] for word in words] == [1] * 7


def test_extremes_of_int64_do_not_wrap_in_the_bins():
    case = rescale_case("", "", [(1 << 62) - 1, -(1 << 62)], 1, 1, "floor", "int64", "int64")
    counts = reached("rescale", case.tensors, case.attrs)
    clip = "saturate(scaled + output_zero_point, low, high) | to int64: "
    assert {name.removeprefix(clip): n for name, n in counts.items() if name.startswith(clip)} == {"inside": 2}


def test_shifts_dtypes_and_sizes_are_counted():
    counts = call_of([[5, 7, 70]], shift=[1, 1, 7])
    assert (counts[f"{ROUNDS} | shift 1"], counts[f"{ROUNDS} | shift 7"], counts["shift: 1"]) == (2, 1, 2)
    assert counts["x: int32"] == counts["axis S: odd, at least 3"] == counts["axis C: 1"] == 1
    assert counts["multiplier, shift: one, many"] == counts["x: int32 to int8"] == 1


@pytest.mark.parametrize(
    ("x", "shift", "more", "count"),
    [
        ([6, 5, 7], 1, {}, 2),  # 6 / 2 is exact
        ([63, 64, -65], 7, {}, 2),  # 63 / 128 is less than half a unit
        ([999, -999, 99], 1, {}, 1),  # clipped
        ([999, 5], 0, {}, 1),
        ([9, 5], 1, {"high": 3}, 1),
    ],
)
def test_a_shift_counts_where_a_result_depends_on_it(x, shift, more, count):
    assert call_of(x, shift=shift, **more)[f"{ROUNDS} | shift {shift}"] == count


def test_bins_that_only_size_forbids_stand_apart():
    found = level1("positions")
    assert 0 < len(found.beyond("positions")) < len(found.unreachable("positions"))
    assert {*found.beyond("positions")} == {
        name for name, why in found.unreachable("positions").items() if "which no stored case has" in why
    }
    assert found.json()["ops"]["positions"]["beyond"] == found.beyond("positions")


def test_newton_steps_are_those_of_the_iteration():
    def slow(n):
        x, steps = 1 << (n.bit_length() + 1 >> 1), 0
        while n:
            steps, following = steps + 1, x + n // x >> 1
            if following >= x:
                assert x == math.isqrt(n)
                break
            x = following
        return steps

    values = [*range(300), (1 << 62) - 1, 1 << 60, (1 << 60) + 1, (1 << 31) ** 2 - 1, 3 << 40]
    assert newton_steps(np.array(values)).tolist() == [slow(n) for n in values]


def test_without_one_directed_case_a_bin_is_missing():
    whole, kept = level1("clamp"), cases("clamp")[:5]
    part = level1("clamp", kept)
    assert 0 < part.hit("clamp") < whole.hit("clamp") and part.total("clamp") == whole.total("clamp")
    rest = level1("clamp", cases("clamp")[5:])
    part.merge(rest)
    assert part.json() == whole.json()


def test_a_bounded_bin_says_its_bounds():
    assert (
        plan("softmax_ibert").unreachable["sum_along(e16, -1) | negative, 5 bits"].startswith("bounds: it lies in [0,")
    )


def test_json_is_read_back(tmp_path):
    found = level1("table")
    again = Coverage.from_json(json.loads(canonical(found.json())))
    assert again.json() == found.json() and again.calls("table") == len(cases("table"))


@pytest.mark.parametrize(
    "harm",
    [
        lambda d: d.update(schema=2),
        lambda d: d.update(ops=[]),
        lambda d: d["ops"].update(nothing={}),
        lambda d: d["ops"]["table"].update(version=9),
        lambda d: d["ops"]["table"].update(calls=-1),
        lambda d: d["ops"]["table"].update(bins=[]),
        lambda d: d["ops"]["table"]["bins"].update({"a bin of another release": 1}),
        lambda d: d["ops"]["table"]["bins"].update({next(iter(d["ops"]["table"]["bins"])): -1}),
    ],
)
def test_a_damaged_coverage_is_refused_in_one_line(harm):
    data = json.loads(canonical(level1("table").json()))
    harm(data)
    with pytest.raises(FormatError, match=r"^cov\.json: ") as caught:
        Coverage.from_json(data, "cov.json")
    assert "\n" not in str(caught.value)


def test_a_call_that_breaks_the_contract_is_refused():
    with pytest.raises(SpecError, match="C1"):
        Coverage().add("clamp", {}, {"low": 0, "high": 1})
    with pytest.raises(SpecError, match="no such op"):
        Coverage().add("softmax", {}, {})


def test_a_package_covers_what_its_cases_do(tmp_path):
    write_op_golden("clamp", tmp_path / "clamp")
    assert of_package(read_golden(tmp_path / "clamp")).json() == level1("clamp").json()


def test_a_model_package_covers_every_op_of_its_nodes():
    package = read_golden(suite_path() / "models" / "sentiment" / "w8a8-token")
    found = of_package(package)
    assert {*found.ops} == {package.model.nodes[i].op for i in package.judgeable()}
    assert all(0 < found.hit(op) <= found.total(op) for op in found.ops)
    assert all(found.refuted(op) == [] for op in found.ops)
    watched = Coverage()
    package.model.run(package.inputs, observers=[watched.observer(package.model)])
    assert watched.json() == found.json()


def test_the_command_measures_merges_and_lists(tmp_path, capsys):
    write_op_golden("clamp", tmp_path / "gold", cases("clamp")[:3])
    assert main(["coverage", str(tmp_path / "gold"), "-o", str(tmp_path / "a.json"), "--missing"]) == 0
    first = capsys.readouterr().out
    assert "clamp: x: 2**30" in first and first.rstrip().endswith("bins that can be hit")
    write_op_golden("clamp", tmp_path / "rest", cases("clamp")[3:])
    words = ["coverage", str(tmp_path / "rest"), "--merge", str(tmp_path / "a.json"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(canonical(level1("clamp").json()))
    assert main(["coverage", str(tmp_path / "gold"), "--unreachable"]) == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema":1,"kind":"coverage"}', '{"a":1,"a":2}'])
def test_the_command_refuses_what_is_no_coverage(tmp_path, capsys, content):
    (tmp_path / "bad.json").write_text(content)
    assert main(["coverage", "--merge", str(tmp_path / "bad.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_command_draws_a_page(tmp_path):
    pytest.importorskip("jinja2")
    write_op_golden("clamp", tmp_path / "gold", cases("clamp")[:3])
    assert main(["coverage", str(tmp_path / "gold"), "--html", str(tmp_path / "c.html")]) == 0
    assert "clamp" in (tmp_path / "c.html").read_text(encoding="utf-8")
