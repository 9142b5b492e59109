"""Does a comparison of profiles find what parts them, and name it where nothing does?"""

import json
import re

import numpy as np
import pytest

from intref import OPS
from intref.cli.main import main
from intref.dialects import alias, differences
from intref.dialects.budget import Budget
from intref.dialects.difference import _as_at_site, _rescaled
from intref.dialects.picture import figure_of
from intref.errors import Unsupported
from intref.golden import suite_path
from intref.profiles import HERE, load_profile, names
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
        assert _as_at_site(OPS["rescale"], case, row)["y"][at] == int(value)


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


def test_is_an_epilogue_that_fuses_told_by_vectors(tmp_path):
    mine = load_profile(edited(tmp_path, "gpu-w8a8", linear={"contract": "fma"}))
    (found,) = differences(load_profile("gpu-w8a8"), mine)
    assert found.comparable and found.differ and found.witness.startswith("epilogue_fp32-")


@pytest.mark.parametrize("site, keys", [("pooler", {"output": "int16"}), ("residual", {"spare_bits": 0})])
def test_is_a_key_that_no_vector_shows_named_and_no_alias(tmp_path, capsys, site, keys):
    path = edited(tmp_path, "ibert", **{site: keys})
    assert alias(load_profile(path)) == ""
    assert main(["profile", "diff", "ibert", str(path), "--no-model"]) == 0
    (key, value), said = *keys.items(), capsys.readouterr().out
    assert f"{key} {load_profile('ibert').sites[site][key]}, {value}: lowered otherwise" in " ".join(said.split())


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
