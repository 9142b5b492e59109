"""Does a comparison of profiles find what parts them, and name it where nothing does?"""

import json
import re

import numpy as np
import pytest

from intref import OPS
from intref.cli.main import main
from intref.dialects import alias, differences
from intref.dialects.at_site import LOWERED, _rescaled, at_site, shown_by
from intref.dialects.budget import Budget
from intref.dialects.difference import Difference, _on_vectors
from intref.dialects.picture import figure_of
from intref.errors import Unsupported
from intref.golden import suite_path
from intref.profiles import HERE, load_profile, names
from intref.profiles.keys import NARROWED, SITES, faults, needs, reads
from intref.quantize import sites as lowered
from intref.quantize.scales import softmax_constants
from intref.vectors import cases


def edited(tmp_path, base, **sites):
    """A profile by the name of `mine`, some keys of some sites replaced."""
    text = (HERE / f"{base}.toml").read_text(encoding="utf-8")
    text = re.sub(r'^name = ".*"', 'name = "mine"', text, count=1)
    for site, keys in sites.items():
        head, body = text.split(f"[{site}]\n")
        for key, value in keys.items():
            body = re.sub(rf"^{key} = .*\n", "", body, count=1, flags=re.M)
            body = f"{key} = {json.dumps(value)}\n" + body
        text = f"{head}[{site}]\n{body}"
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", names())
def test_is_no_profile_an_alias_of_another(name):
    assert alias(load_profile(name)) == ""


def test_is_a_profile_under_another_name_an_alias(tmp_path):
    assert alias(load_profile(edited(tmp_path, "ibert"))) == "ibert"
    assert alias(load_profile(edited(tmp_path, "ibert", context={"rounding": "half_up"}))) == ""


def test_is_another_rounding_found_with_its_first_element(tmp_path):
    mine = load_profile(edited(tmp_path, "ibert", context={"rounding": "half_up"}))
    (found,) = differences(load_profile("ibert"), mine)
    assert (found.site, found.comparable, 0 < found.differ < found.vectors) == ("context", True, True)
    number, place, a, b = re.fullmatch(r"rescale-(\d+) y\[([\d, ]*)\]: (-?\d+), (-?\d+)", found.witness).groups()
    case, at = cases("rescale")[int(number)], tuple(int(i) for i in place.split(",") if i)
    for row, value in ((found.a, a), (found.b, b)):
        assert at_site(OPS["rescale"], case, row)["y"][at] == int(value)


@pytest.mark.parametrize("keys", [{"multiplier_bits": 8}, {"clamp": "symmetric"}, {"rounding": "gemmlowp_double"}])
def test_does_each_key_of_a_requantizer_show_on_vectors(tmp_path, keys):
    (found,) = differences(load_profile("ibert"), load_profile(edited(tmp_path, "ibert", attention_input=keys)))
    assert found.comparable and found.differ


BEHIND = [
    ("activation", {"rounding": "floor"}),
    ("activation", {"clamp": "symmetric"}),
    ("pooler", {"rounding": "floor"}),
]


@pytest.mark.parametrize("site, keys", [*BEHIND, ("context", {"accumulator": 16, "overflow": "wrap"})])
def test_is_what_stands_beside_an_op_compared_on_its_own_vectors(tmp_path, site, keys):
    mine = load_profile(edited(tmp_path, "ibert", **{site: keys}))
    (found,) = differences(load_profile("ibert"), mine)
    assert found.comparable and found.differ and alias(mine) == ""
    assert found.witness.startswith("matmul-" if site == "context" else "rescale-")


# What a site says where a test does not; each beside the value that it is compared with.
USUAL = {"rounding": "half_up", "clamp": "full", "form": "torch", "halvings": 15, "bits": 8, "clip": 15}
USUAL |= {"output": "int8", "fraction_bits": 4, "doublings": 3, "multiplier_bits": 21}
WITH = {"mask_value": {"mask": "add"}, "overflow": {"accumulator": 16}}
WITH["every"] = {"accumulator": 16, "overflow": "saturate"}
READ = [(site, op, key) for site, op in lowered.SITES for key in SITES[site] if reads(site, op, key)]
ONE_VALUE = ("attention_input", "rescale", "scale")  # a tensor's


def rows(site, op, key):
    """Tables of a site that differ in one key, or in what goes with it."""
    base = {"op": op, **{name: USUAL.get(name) or SITES[site][name][0] for name in needs(site, op)}}
    with_it = WITH.get(key, {})
    if site == "norm" and key in NARROWED and op in ("layernorm_ibert", "layernorm_fixed"):
        with_it = {name: USUAL[name] for name in NARROWED}
    kinds = SITES[site][key]
    few = (4, 7, 8, 12, 16, 21, kinds[0], kinds[-1])
    for value in [v for v in few if v in kinds] if isinstance(kinds, range) else kinds:
        one, two = {**base, **with_it}, {**base, **with_it, key: value}
        if (op, key) == ("add_gemmlowp", "bits"):
            one, two = base, {**base, "multiplier_bits": 21, "bits": 8}
        if not any((*faults(site, one), *faults(site, two))) and Difference(site, one, two).keys:
            yield one, two


@pytest.mark.parametrize("site, op, key", READ)
def test_is_every_key_run_on_vectors_or_named_with_a_reason(site, op, key):
    """On vectors it parts two tables for some value, and the two are no aliases; what is only named is in LOWERED."""
    found = [Difference(site, *pair) for pair in rows(site, op, key)]
    assert found or (site, op, key) == ONE_VALUE
    for part in found:
        assert (key in part.shown) != (key in LOWERED)
        assert (LOWERED.get(key, "") in part.otherwise) and bool(part.otherwise) == (key in LOWERED)
    alike = [(kind, one) for kind, one, name in READ if name == key and shown_by(one, key) == shown_by(op, key)]
    if key not in LOWERED and (site, op) == alike[0]:  # the same vectors once
        parted = (_on_vectors(part) for part in found)
        assert any((part.witness if part.differ else part.refused) and not part.equal for part in parted)


def test_is_a_second_step_another_rounding():
    """By hand: 2**30 / 2**32 is 0.25, once rounded 0; at 2**-31 it is 0.5, up to 1, and 1 / 2 is up to 1."""
    tensors = {"multiplier": np.array([1 << 30], np.int32), "shift": np.array([32], np.int8)}
    attrs = {"rounding": "half_up", "output": "int8"}
    case = cases("rescale")[0]._replace(tensors={"x": np.array([1], np.int8), **tensors}, attrs=attrs)
    made = [at_site(OPS["rescale"], case, {"rounding": "half_up", "steps": n})["y"].tolist() for n in (1, 2)]
    assert made == [[0], [1]]


def test_does_an_added_mask_leave_a_key_its_share():
    """By hand: of two equal scores one is masked; excluded it has nothing, with -1 at the scale 1/100 nearly half."""
    tensors = {"x": np.zeros((1, 1, 1, 2), np.int32), "mask": np.array([[1, 0]], np.int8)}
    case = cases("softmax_ibert")[0]._replace(tensors=tensors, attrs=softmax_constants(0.01))
    added = {"mask": "add", "mask_value": -1}
    made = [at_site(OPS["softmax_ibert"], case, row)["p"][0, 0, 0, 1] for row in ({}, added)]
    assert made[0] == 0 and made[1] in (126, 127, 128)


@pytest.mark.parametrize(
    "site, key, before, value", [("pooler", "output", "int8", "int16"), ("linear", "bias_bits", 32, 24)]
)
def test_is_a_key_that_no_vector_shows_named_and_no_alias(tmp_path, capsys, site, key, before, value):
    path = edited(tmp_path, "ibert", **{site: {key: value}})
    assert alias(load_profile(path)) == ""
    assert main(["profile", "diff", "ibert", str(path), "--no-model"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"{key} {before}, {value}: {LOWERED[key]}, see the outputs" in said


def test_is_a_default_that_is_spelt_out_no_difference(tmp_path):
    assert not differences(load_profile("ibert"), load_profile(edited(tmp_path, "ibert", context={"steps": 1})))


def test_is_the_float32_scale_that_of_the_multiplier():
    case = cases("rescale")[0]
    for multiplier, shift in ((3, 1), ((1 << 31) - 1, 31), (-5, 94)):
        tensors = {**case.tensors, "multiplier": np.array([multiplier], np.int32), "shift": np.array([shift], np.int8)}
        made = _rescaled("", case._replace(tensors=tensors), "fp32_half_even", 31)
        assert made["multiplier"].view(np.float32).tolist() == [np.float32(multiplier * 2.0**-shift)]


def test_is_another_op_not_compared_on_vectors():
    found = {part.site: part for part in differences(load_profile("ibert"), load_profile("intref"))}
    assert not found["softmax"].comparable and found["embedding_sum"].comparable


def test_does_the_command_say_what_a_site_does_to_a_model(tmp_path, capsys):
    path = edited(tmp_path, "ibert", context={"rounding": "floor"})
    assert main(["profile", "diff", "ibert", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    (site,) = said["sites"]
    assert site["site"] == "context" and site["model"] == said["all"] and said["all"]["differ"] > 0


SAID = [
    ("linear", {"accumulator": 32}),
    ("linear", {"overflow": "refuse", "every": 0}),
    ("context", {"accumulator": 32, "overflow": "refuse"}),
    ("residual", {"bits": 22}),
]


@pytest.mark.parametrize("site, keys", SAID, ids=str)
def test_is_what_goes_without_saying_the_same_when_it_is_said(tmp_path, site, keys):
    assert not differences(load_profile("ibert"), load_profile(edited(tmp_path, "ibert", **{site: keys})))


def test_are_spare_bits_those_of_the_whole_width():
    (part,) = (d for d in differences(load_profile("ibert"), load_profile("ibert-hf")) if d.site == "residual")
    assert 0 < part.differ < part.vectors and part.witness.endswith("-16777216, -2097152")  # -2**24 and -2**21


def test_are_aliases_refused_in_one_line(tmp_path, capsys):
    assert main(["profile", "diff", "ibert", str(edited(tmp_path, "ibert"))]) == 2
    assert "aliases: the same at every site" in capsys.readouterr().err
    assert main(["profile", "diff", "ibert", "ibert9"]) == 2
    with pytest.raises(Unsupported):
        load_profile("ibert9")


@pytest.mark.parametrize("name", ["embedded", "minilm"])
def test_does_the_axis_of_a_budget_end_near_its_largest_bar(name):
    """From 0, for every panel: a legend stretches none of them. And the budgets say again what was stored."""
    pytest.importorskip("matplotlib")
    stored = json.loads((suite_path() / "budgets" / f"{name}.json").read_text("utf-8"))
    budgets = [Budget.from_json(one) for one in stored]
    assert [one.json() for one in budgets] == stored
    figure = figure_of(budgets)
    for axes, one in zip(figure.axes, budgets, strict=True):
        most = max(row.distance[one.outputs[0]] for row in (*one.rows, one.whole))
        low, high = axes.get_xlim()
        assert low == 0 and most <= high < 1.2 * most
