"""Is a profile data that is read strictly, and does one whose sites do not fit together make no model?"""

import json
import re
import tomllib
import warnings

import numpy as np
import pytest

import hostile
import intref
from intref.cli.main import main
from intref.errors import FormatError, IntrefError, Unsupported
from intref.golden import suite_path
from intref.ops import OPS
from intref.profiles import HERE, OPTIONAL, load_profile, names
from intref.profiles.keys import READERS, SITES
from intref.quantize import sites
from intref.quantize.recipe import made_for
from intref.quantize.recipe import names as recipe_names

BOTH = ("ibert", "intref")
CALIB = [{"input_ids": [[1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 0, 3, 1, 2]]}]


def table(name: str) -> dict:
    return tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))


def written(path, content: dict):
    """A TOML file of text, numbers and one level of tables."""
    plain = {k: v for k, v in content.items() if not isinstance(v, dict)}
    lines = [f"{key} = {quoted(value)}" for key, value in plain.items()]
    for name, inner in content.items():
        if isinstance(inner, dict):
            lines += [f"[{name}]", *(f"{key} = {quoted(value)}" for key, value in inner.items())]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def quoted(value) -> str:
    return json.dumps(value, ensure_ascii=False)  # of text, integers, booleans and lists, JSON is TOML


def refusal(path, error=FormatError) -> str:
    with pytest.raises(error) as caught:
        load_profile(path)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


@pytest.mark.parametrize("name", names())
def test_is_every_profile_whole_and_can_it_be_lowered(name):
    profile = load_profile(name)
    assert profile.name == name and profile.about and profile.source
    assert [*profile.sites] == [site for site in SITES if site in profile.sites or site not in OPTIONAL]
    for site, row in profile.sites.items():
        assert row["op"] in OPS and (site, row["op"]) in sites.SITES, site


def test_is_a_profile_the_same_by_name_and_by_path(tmp_path):
    for name in BOTH:
        assert load_profile(written(tmp_path / "p.toml", table(name))) == load_profile(name)


def test_is_no_profile_named_in_the_code():
    package = HERE.parent
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "profile ==" not in text and "profile.name ==" not in text, path


def changed(key, value=None, site=None):
    def change(content):
        inner = content if site is None else content[site]
        inner.pop(key, None)
        if value is not None:
            inner[key] = value

    return change


BROKEN = {
    "no name": (changed("name"), FormatError, "profile must have 'name'"),
    "no site": (changed("softmax"), FormatError, "profile must have 'softmax'"),
    "an unknown site": (changed("colour", {"op": "add"}), FormatError, "key 'colour' is unknown"),
    "an empty name": (changed("name", ""), FormatError, "name must be 1 to 64 letters"),
    "a name of two lines": (changed("name", "a\\nb"), FormatError, "name must be 1 to 64 letters"),
    "terms counted and not saturated": (changed("every", 4, "scores"), FormatError, "'overflow' must be 'saturate'"),
    "a name that is no text": (changed("name", 3), FormatError, "name must be text, not 3"),
    "an unknown status": (changed("status", "old"), FormatError, "status must be one of stable, experimental"),
    "a site that is no table": (changed("softmax", 3), FormatError, "site 'softmax' must be a table"),
    "a site without an op": (
        changed("op", site="softmax"),
        FormatError,
        "site 'softmax' must be a table with the key 'op'",
    ),
    "an unknown op": (changed("op", "softmax9", "softmax"), Unsupported, "site 'softmax': there is no op 'softmax9'"),
    "an op that is no text": (changed("op", 3, "softmax"), Unsupported, "site 'softmax': there is no op 3"),
    "an op that is a list": (changed("op", ["add"], "softmax"), Unsupported, "site 'softmax': there is no op ['add']"),
    "an unknown key": (changed("colour", 1, "softmax"), FormatError, "site 'softmax': key 'colour' is unknown"),
    "an unknown rule": (changed("rounding", "nearest", "residual"), FormatError, "site 'residual': rounding must be"),
    "a rule that is no text": (changed("rounding", 1, "residual"), FormatError, "site 'residual': rounding must be"),
    "a clamp that is none": (changed("clamp", "half", "context"), FormatError, "site 'context': clamp must be"),
    "bits that are no integer": (changed("spare_bits", "3", "residual"), FormatError, "spare_bits must be 0..16"),
    "bits that are true": (changed("spare_bits", True, "residual"), FormatError, "spare_bits must be 0..16"),
    "too many bits": (changed("spare_bits", 17, "residual"), FormatError, "spare_bits must be 0..16"),
    "a key of another op": (
        changed("clip", 15, "softmax"),
        FormatError,
        "'clip' is for softmax_illm, not for",
    ),
    "a misspelt site": (changed("scorez", {"op": "matmul"}), FormatError, "'scorez' is unknown, near it: scores"),
    "a name of ours": (changed("rounding", "floor", "context"), FormatError, "name 'ibert' is that of intref's own"),
    "an output of no table": (changed("output", "int64", "pooler"), FormatError, "site 'pooler': output must be"),
}


# A profile, a site and what is changed there -> what is said of it: keys left out, and keys that nothing would read.
UNREAD = {
    "a softmax without its clip": ("illm", "softmax", {"clip": None}, "softmax_illm needs the key 'clip'"),
    "a shift softmax without its form": ("ivit", "softmax", {"form": None}, "softmax_ivit needs the key 'form'"),
    "a table of no dtype": ("ibert", "pooler", {"output": None}, "table needs the key 'output'"),
    "a sum of no rule": ("ibert", "residual", {"rounding": None}, "add needs the key 'rounding'"),
    "a norm's rule alone": ("ibert", "norm", {"rounding": "half_up"}, "narrow a norm's input together"),
    "a norm's bits alone": ("intref", "norm", {"bits": 8}, "narrow a norm's input together"),
    "factors without bits": ("fqvit", "norm", {"bits": None}, "narrow a norm's input together"),
    "two steps in float32": ("onnx", "context", {"steps": 2}, "fp32_half_even has none"),
    "few bits in float32": ("onnx", "context", {"multiplier_bits": 8}, "fp32_half_even has none"),
    "a mask's value without its mask": ("ibert", "softmax", {"mask_value": -9}, "what 'mask' = 'add' adds"),
    "a mask added to int8": ("ita", "softmax", {"mask": "add"}, "'mask' is for softmax_ibert,"),
    "a scale a head, of a tensor": ("ibert", "attention_input", {"scale": "head"}, "rescale has one scale a tensor"),
    "a sum of other bits": ("tflite-reference", "residual", {"bits": 8}, "add_gemmlowp gives 16 bits"),
    "a sum of other bits, once": ("tflite-xnnpack", "residual", {"bits": 16}, "gives 8 bits"),
    "a sum rounded once, in steps": ("tflite-xnnpack", "residual", {"steps": 2}, "no other 'bits', 'clamp' or 'steps'"),
    "factors of too many bits": ("tflite-xnnpack", "residual", {"multiplier_bits": 22}, "must be at most 21"),
    "a rule that its op has not": (
        "tflite-single",
        "residual",
        {"rounding": "floor"},
        "half_away, gemmlowp_double for",
    ),
    "bits that its op has not": ("illm", "softmax", {"bits": 16}, "bits must be 2..15 for softmax_illm, not 16"),
}


@pytest.mark.parametrize("why", UNREAD)
def test_is_no_key_left_out_or_passed_over(why, tmp_path):
    name, site, changes, said = UNREAD[why]
    content = {**table(name), "name": "mine"}
    for key, value in changes.items():
        changed(key, value, site)(content)
    assert said in refusal(written(tmp_path / "p.toml", content))


# The same, where only the sites around it tell that nothing would read a key, or that an op is not the one for it.
MISFITS = {
    "an order of no float32": ("ibert", "linear", {"order": "channel_first"}, "node L0.q: only the float32 epilogue"),
    "a contraction of no float32": ("ibert", "linear", {"contract": "fma"}, "node L0.q: only the float32 epilogue"),
    "bits of a real bias": ("intref", "linear", {"bias_bits": 24}, "node L0.q: a bias beside token-wise inputs"),
    "a rule of no requantizer": ("intref", "pooler", {"rounding": "half_up"}, "node pooler.pre: a token-wise"),
    "no rule of a requantizer": ("ibert", "pooler", {"rounding": None}, "node pooler.pre: a requantizer is needed"),
    "an epilogue of integers": (
        "intref",
        "logits",
        {"op": "epilogue_fp32"},
        "node logits: epilogue_fp32 needs another",
    ),
    "a static op for tokens": (
        "intref",
        "logits",
        {"op": "rescale", "rounding": "half_up"},
        "node logits: rescale needs",
    ),
    "an op for tokens, static": (
        "onnx",
        "logits",
        {"op": "rescale_token", "rounding": None},
        "node logits: rescale_token",
    ),
    "two steps of float32 terms": (
        "tflite-xnnpack",
        "residual",
        {"multiplier_bits": None, "bits": None, "steps": 2},
        "no integer",
    ),
}


@pytest.mark.parametrize("why", MISFITS)
def test_is_a_key_that_the_sites_around_it_pass_over_refused(fm, why, tmp_path):
    name, site, changes, said = MISFITS[why]
    content = {**table(name), "name": "mine"}
    for key, value in changes.items():
        changed(key, value, site)(content)
    with pytest.raises(Unsupported, match=said) as caught:
        fm.quantize(profile=str(written(tmp_path / "p.toml", content)), calib=CALIB)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bits", [8, 16, 21])
def test_do_factors_of_fewer_bits_make_another_sum(fm, bits, tmp_path):
    content = {**table("tflite-xnnpack"), "name": "mine"}
    content["residual"] = {**content["residual"], "multiplier_bits": bits}
    model = fm.quantize(profile=str(written(tmp_path / "p.toml", content)), calib=CALIB)
    given = [node.attrs for node in model.nodes if node.op == "add_gemmlowp"]
    assert all(max(one["a_multiplier"], one["b_multiplier"]) >> 31 - bits < 1 << bits for one in given)
    assert {one["left_shift"] for one in given} == {bits}
    fast, reference = (model.run(CALIB[0], backend).digest for backend in ("fast", "reference"))
    assert fast == reference


@pytest.mark.parametrize("why", BROKEN)
def test_is_a_profile_that_is_none_refused(why, tmp_path):
    change, error, said = BROKEN[why]
    content = table("ibert")
    change(content)
    assert said in refusal(written(tmp_path / "p.toml", content), error)


def test_is_a_misspelt_site_named_and_not_the_one_that_is_then_missing(tmp_path):
    content = table("ibert")
    content["scorez"] = content.pop("scores")
    assert "key 'scorez' is unknown, near it: scores" in refusal(written(tmp_path / "p.toml", content))


@pytest.mark.parametrize("key, value", [("zero_point", "calibrated"), ("multiplier_bits", 8), ("steps", 2)])
def test_is_a_key_refused_where_the_norm_gives_8_bits_already(key, value, tmp_path):
    content = {**table("deeploy"), "name": "mine"}
    changed(key, value, "linear_input")(content)
    assert "have no reader: layernorm_deeploy" in refusal(written(tmp_path / "p.toml", content))


@pytest.mark.parametrize("site", READERS)
def test_is_a_key_that_its_op_does_not_read_refused(site, tmp_path):
    """And none is known to READERS that no site has, nor an op that cannot stand there."""
    for key, ops in READERS[site].items():
        assert key in SITES[site] and all((site, op) in sites.SITES for op in ops), key
        other = next((op for kind, op in sites.SITES if kind == site and op not in ops), None)
        if other is not None:
            kinds = SITES[site][key]
            content = {**table("ibert"), site: {"op": other, key: kinds[0]}}
            assert f"key {key!r} is for" in refusal(written(tmp_path / "p.toml", content))


def test_are_other_files_and_names_refused(tmp_path):
    assert f"no profile but {', '.join(names())}" in refusal("ibert9", Unsupported)
    assert "there is no such file" in refusal(tmp_path / "absent.toml", Unsupported)
    assert "there is no such file" in refusal(tmp_path, Unsupported)
    for text in (b"name = ", b"\xff\xfe", b"a = 1\na = 2"):
        (tmp_path / "p.toml").write_bytes(text)
        assert "not TOML" in refusal(tmp_path / "p.toml")


@pytest.fixture(scope="module")
def fm(tmp_path_factory):
    tensors = hostile.encoder_tensors(hostile.CLASSIFIER)
    return intref.load(hostile.write_checkpoint(tmp_path_factory.mktemp("bert") / "c", tensors))


def cosine(a, b) -> float:
    a, b = np.ravel(a).astype(float), np.ravel(b).astype(float)
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize("site", [site for site in SITES if site not in OPTIONAL])
@pytest.mark.parametrize("own, other", [BOTH, BOTH[::-1]])
def test_is_a_mixed_profile_right_or_refused(fm, tmp_path, own, other, site):
    """Sites that do not understand each other must not make a model that is merely wrong."""
    path = written(tmp_path / "p.toml", {**table(own), "name": "mixed", site: table(other)[site]})
    draw = np.random.default_rng(1)
    calib = [{"input_ids": draw.integers(0, 11, (8, 10))} for _ in range(4)]
    inputs = {"input_ids": draw.integers(0, 11, (6, 9))}
    try:
        model = fm.quantize(own if own == "ibert" else "w8a8-token", profile=str(path), calib=calib)
    except IntrefError as error:
        assert "\n" not in str(error) and "node " in str(error)
        return
    assert cosine(model.run(inputs, "reference").float("last_hidden_state"), fm.run(inputs)["last_hidden_state"]) > 0.99


@pytest.fixture(scope="module")
def sentiment():
    return intref.load(suite_path() / "models" / "sentiment")


@pytest.mark.parametrize("name", [name for name in names() if load_profile(name).status == "stable"])
def test_is_a_saved_model_of_every_profile_read_back(sentiment, tmp_path, name):
    model = sentiment.quantize(made_for(load_profile(name)).name, profile=name, calib=CALIB)
    model.save(tmp_path / "m.safetensors")
    back = intref.open(tmp_path / "m.safetensors")
    before, after = (one.run(CALIB[0], "reference").digest for one in (model, back))
    assert before == after and back.hash == model.hash


def test_is_an_op_that_no_site_of_its_kind_knows_refused(fm, tmp_path):
    path = written(tmp_path / "p.toml", {**table("ibert"), "name": "mine", "softmax": {"op": "clamp"}})
    with pytest.raises(
        Unsupported, match="site 'softmax' cannot be lowered to 'clamp', only to softmax_ibert, softmax_exp2"
    ):
        fm.quantize("ibert", profile=str(path), calib=[{"input_ids": [[1, 2]]}])


@pytest.mark.parametrize("site", ["attention_input", "context", "pooler", "logits"])
@pytest.mark.parametrize("rounding", ["floor", "half_away", "gemmlowp_double", "tosa_double", "fp32_half_even"])
def test_does_a_requantizer_round_by_any_rule_of_rescale(fm, tmp_path, rounding, site):
    content = {**table("ibert"), "name": "mine"}
    content[site] = {**content[site], "rounding": rounding}
    model = fm.quantize("ibert", profile=str(written(tmp_path / "mine.toml", content)), calib=CALIB)
    assert rounding in {node.attrs.get("rounding") for node in model.nodes} and model.about["profile"] == "mine"
    fast, reference = (model.run(CALIB[0], backend, trace="all") for backend in ("fast", "reference"))
    assert fast.trace_digest == reference.trace_digest
    own = fm.quantize("ibert", calib=CALIB).run(CALIB[0])
    assert cosine(fast.float("last_hidden_state"), own.float("last_hidden_state")) > 0.9


def test_does_an_additive_mask_leave_padding_a_probability_only_where_it_is_small(fm, tmp_path):
    """With a constant far below every score the bits are those of a mask that excludes; with -1 they are not."""
    inputs = {"input_ids": [[1, 2, 3, 4, 5], [6, 7, 0, 0, 0]], "attention_mask": [[1] * 5, [1, 1, 0, 0, 0]]}
    digests = {}
    for name, extra in (("exclude", {}), ("far", {"mask": "add"}), ("near", {"mask": "add", "mask_value": -1})):
        content = {**table("ibert"), "name": name}
        content["softmax"] = {**content["softmax"], **extra}
        model = fm.quantize("ibert", profile=str(written(tmp_path / f"{name}.toml", content)), calib=CALIB)
        fast, reference = (model.run(inputs, backend).digest for backend in ("fast", "reference"))
        assert fast == reference
        digests[name] = fast
    assert digests["exclude"] == digests["far"] != digests["near"]


def test_is_a_file_of_one_s_own_experimental_and_named_anew(tmp_path):
    other = {**table("ita"), "softmax": {"op": "softmax_ibert"}}
    with pytest.raises(FormatError, match="name 'ita' is that of intref's own profile"):
        load_profile(written(tmp_path / "ita.toml", other))
    assert load_profile(written(tmp_path / "p.toml", {**other, "name": "mine"})).status == "experimental"


@pytest.mark.parametrize("profile, recipe", [("ibert", "ibert"), ("gpu-w8a8", "w8a8-token"), ("wide", "wide")])
def test_is_the_default_recipe_the_one_for_the_profile(fm, tmp_path, profile, recipe):
    assert fm.quantize(profile=profile, calib=CALIB).about["recipe"] == recipe
    path = written(tmp_path / "p.toml", {**table(profile), "name": "mine"})
    assert fm.quantize(profile=str(path), calib=CALIB).about["recipe"] == recipe


@pytest.mark.parametrize("contract", ["off", "fma"])
def test_is_an_epilogue_fused_where_the_profile_says_so(fm, tmp_path, contract):
    gpu = table("gpu-w8a8")
    path = written(tmp_path / "p.toml", {**gpu, "name": "mine", "linear": {**gpu["linear"], "contract": contract}})
    model = fm.quantize(profile=str(path), calib=CALIB)
    assert {node.attrs["contract"] for node in model.nodes if node.op == "epilogue_fp32"} == {contract}
    assert model.run(CALIB[0], "reference").digest == model.run(CALIB[0], "fast").digest


@pytest.mark.parametrize("recipe", recipe_names())
@pytest.mark.parametrize("profile", names())
def test_does_every_recipe_make_a_model_of_every_profile_or_one_line(fm, recipe, profile):
    """No warning of NumPy's, no other error: the node, and what the recipe asks that is not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            fm.quantize(recipe, profile=profile, calib=CALIB)
        except IntrefError as error:
            assert re.search(r"node [\w.]+", str(error)) and "\n" not in str(error)


def test_is_what_a_recipe_lacks_said_in_one_line(capsys, tmp_path):
    checkpoint = str(suite_path() / "models" / "sentiment")
    args = ["quantize", checkpoint, "-o", str(tmp_path / "m"), "--recipe", "wide", "--profile", "ibert"]
    assert main(args) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "node emb.word: a table of int8 takes weights of at most 8 bits, not the recipe's 48" in said
    assert "ibert is the recipe for ibert" in said and "Warning" not in said


def test_is_a_recipe_for_another_profile_named_where_it_does_not_fit(fm):
    with pytest.raises(IntrefError, match="recipe w8a8-token is made for profile intref"):
        intref.load(suite_path() / "models/sentiment").quantize("w8a8-token", profile="ibert")
    assert fm.quantize("ibert", profile="tosa", calib=CALIB).about["recipe"] == "ibert"
