"""Are recipes and calibration data read strictly, and observed as they should be?"""

import json
from pathlib import Path

import numpy as np
import pytest

from intref.errors import FormatError, Unsupported
from intref.quantize.calibration import read_batches
from intref.quantize.observe import BINS, Ranges, Site
from intref.quantize.recipe import RECIPES as FOLDER
from intref.quantize.recipe import load_recipe, names

RECIPES = ("ibert", "ibert-r16", "w8a8-token")
SENTIMENT = Path(__file__).resolve().parent.parent / "golden" / "models" / "sentiment"


def test_are_the_recipes_whole():
    assert {*RECIPES} <= {*names()}
    for name in names():
        recipe = load_recipe(name)
        assert recipe.name == name and load_recipe(str(FOLDER / f"{name}.toml")) == recipe


TEXT = (FOLDER / "ibert.toml").read_text(encoding="utf-8")
BROKEN = {
    "no name": (TEXT.replace('name = "ibert"', ""), "recipe must have 'name': the key is missing"),
    "no TOML": ("[", "not TOML"),
    "a nesting without end": ("a = " + "[" * 5000 + "]" * 5000, "not TOML"),
    "a number without end": ("a = " + "1" * 100_000, "not TOML"),
    "an unknown table": (TEXT + "\n[colour]\nred = 1", "key 'colour' is unknown"),
    "no table": (TEXT.split("[wide]")[0], "recipe must have a table [wide]: it is missing"),
    "an unknown key": (
        TEXT.replace("headroom = 1.0", "headroom = 1.0\ncolour = 1"),
        "table [wide]: key 'colour' is unknown",
    ),
    "a key missing": (TEXT.replace("headroom = 1.0", ""), "table [wide] must have 'headroom': the key is missing"),
    "too many bits": (
        TEXT.replace("[weights]\nbits = 8", "[weights]\nbits = 49"),
        "weights.bits must be an integer in 2..48, not 49",
    ),
    "fractional bits": (
        TEXT.replace("[weights]\nbits = 8", "[weights]\nbits = 7.5"),
        "weights.bits must be an integer in 2..48, not 7.5",
    ),
    "true bits": (
        TEXT.replace("[weights]\nbits = 8", "[weights]\nbits = true"),
        "weights.bits must be an integer in 2..48, not true",
    ),
    "an unknown form": (
        TEXT.replace('form = "ibert"', 'form = "other"'),
        "weights.form must be one of symmetric, ibert, not 'other'",
    ),
    "headroom that is no number": (
        TEXT.replace("headroom = 1.0", "headroom = nan"),
        "wide.headroom must be a number in 1..16, not nan",
    ),
}


@pytest.mark.parametrize("why", BROKEN)
def test_is_a_recipe_that_is_none_refused(tmp_path, why):
    text, said = BROKEN[why]
    path = tmp_path / "r.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        load_recipe(str(path))
    message = str(caught.value)
    assert said in message and str(path) in message and "\n" not in message


def test_is_an_unknown_recipe_refused():
    with pytest.raises(Unsupported, match="recipe 'w9a9': there is no such file, and no recipe but ibert"):
        load_recipe("w9a9")


def rows(batches) -> list:
    return [row for batch in batches for row in np.asarray(batch["input_ids"]).tolist()]


def test_are_calibration_files_read(tmp_path):
    ids = np.arange(40).reshape(20, 2)
    np.savez(tmp_path / "c.npz", input_ids=ids, attention_mask=np.ones_like(ids))
    batches = [*read_batches(tmp_path / "c.npz")]
    assert [len(b["input_ids"]) for b in batches] == [16, 4] and rows(batches) == ids.tolist()
    assert all(b.keys() == {"input_ids", "attention_mask"} for b in batches)
    (tmp_path / "c.jsonl").write_text('[1, 2, 3]\n\n{"input_ids": [4, 5]}\n[6, 7]\n')
    assert rows(read_batches(tmp_path / "c.jsonl")) == [[4, 5], [6, 7], [1, 2, 3]]  # equal lengths share a batch


BAD_FILES = {
    "c.bin": (b"", Unsupported, "calibration files are"),
    "c": (b"", Unsupported, "not without suffix"),
    "absent.npz": (None, FormatError, "found none"),
    "empty.npz": (b"", FormatError, "npz archive"),
    "text.npz": (b"hello", FormatError, "npz archive"),
    "empty.jsonl": (b"\n\n", FormatError, "found an empty file"),
    "text.jsonl": (b"hello\n", FormatError, "line 1: expected"),
    "float.jsonl": (b"[1]\n[1.5]\n", FormatError, "line 2: expected"),
    "negative.jsonl": (b"[-1]\n", FormatError, "line 1: expected"),
    "none.jsonl": (b"[]\n", FormatError, "line 1: expected"),
    "nested.jsonl": (b"[" * 100_000 + b"\n", FormatError, "line 1: expected"),
    "object.jsonl": (b'{"ids": [1]}\n', FormatError, "line 1: expected"),
    "bytes.jsonl": (b"[\xff]\n", FormatError, "line 1: expected"),
    "text.safetensors": (b"hello", FormatError, "text.safetensors"),
    "text.txt": (b"hello", FormatError, "expected a tokenizer.json"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_are_bad_calibration_files_refused(tmp_path, name):
    content, error, said = BAD_FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error) as caught:
        [*read_batches(tmp_path / name)]
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arrays, said",
    [
        ({"ids": np.ones((1, 2), int)}, "expected an array input_ids, found ids"),
        ({"input_ids": np.ones((1, 2))}, "expected integers [N T], found float64 [1, 2]"),
        ({"input_ids": np.ones(2, int)}, "expected integers [N T], found int64 [2]"),
        ({"input_ids": np.ones((0, 2), int)}, "expected integers [N T], found int64 [0, 2]"),
        (
            {"input_ids": np.ones((1, 2), int), "attention_mask": np.ones((1, 3), int)},
            "expected shape [1, 2], found [1, 3]",
        ),
        ({"input_ids": np.array([[None]])}, "found object"),
    ],
)
def test_are_arrays_of_other_shapes_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(FormatError) as caught:
        [*read_batches(tmp_path / "c.npz")]
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_does_text_go_through_a_tokenizer(tmp_path):
    pytest.importorskip("tokenizers")
    (tmp_path / "c.txt").write_text("a fine film\n\na fine film\nbad\n")
    batches = [*read_batches(tmp_path / "c.txt", SENTIMENT / "tokenizer.json")]
    lengths = [np.asarray(b["input_ids"]).shape for b in batches]
    assert len(lengths) == 2 and lengths[1][0] == 2
    (tmp_path / "t.json").write_text(json.dumps({"no": "tokenizer"}))
    with pytest.raises(FormatError, match=r"t\.json: expected a tokenizer\.json, found"):
        [*read_batches(tmp_path / "c.txt", tmp_path / "t.json")]
    (tmp_path / "c.txt").write_bytes(b"\xff\n")
    with pytest.raises(FormatError, match="expected UTF-8 text"):
        [*read_batches(tmp_path / "c.txt", SENTIMENT / "tokenizer.json")]


def test_what_range_does_an_observer_take():
    counts = np.zeros(BINS, np.int64)
    counts[: BINS // 2], counts[-1] = 10, 1  # uniform up to a half, and one outlier at 1
    ranges = Ranges({"x": Site(np.array([1.0, 0.25]), 3.0, counts)})
    assert ranges.peak("x") == 1 and ranges.squares("x") == 3
    assert ranges.heads("x", 2).tolist() == [1, 0.25]
    assert ranges.clip("x", "minmax", 50, 8) == 1
    assert ranges.clip("x", "percentile", 100, 8) == 1
    assert abs(ranges.clip("x", "percentile", 50, 8) - 0.25) < 1e-3
    assert 0.4 < ranges.clip("x", "mse", 0, 4) < 0.6 < ranges.clip("x", "mse", 0, 8) < 0.8
    empty = Ranges({"x": Site(np.zeros(2))})
    assert empty.clip("x", "percentile", 99, 8) == 0 == empty.clip("x", "mse", 99, 8)
