"""Does what a model keeps between runs, packed weights and memory, change no bit and hold no more than it needs?"""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import intref
from intref.errors import BoundError
from intref.golden import suite_path
from intref.kernels import Buffers, reusing
from intref.kernels.arrays import empty
from intref.kernels.panels import FAST
from intref.run import run

RECIPES = ("ibert", "w8a8-token")


def opened(recipe):
    return intref.open(suite_path() / "models" / "sentiment" / recipe / "model.safetensors")


@pytest.fixture(scope="module", params=RECIPES)
def model(request):
    return opened(request.param)


def ids(rows, length, seed=0):
    return {"input_ids": np.random.default_rng(seed).integers(5, 900, (rows, length))}


def test_tracing_is_not_the_only_path(model):
    given = ids(3, 17)
    right = model.run(given, "reference", "all")
    assert model.run(given).digest == model.run(given, trace="all").digest == right.digest
    assert model.run(given, trace="all").trace_digest == right.trace_digest


def test_a_result_stays_what_it_is_while_others_run(model):
    first = model.run(ids(2, 9), trace="all")
    digest = first.digest, first.trace_digest
    for seed in range(3):
        model.run(ids(2, 9, seed))
    kept = intref.run.Result(model, first.outputs, first.trace)
    assert (kept.digest, kept.trace_digest) == digest


def test_threads_that_run_one_model_do_not_meet(model):
    right = [model.run(ids(2, 5 + n, n), "reference").digest for n in range(6)]
    with ThreadPoolExecutor(3) as callers:
        assert [*callers.map(lambda n: model.run(ids(2, 5 + n % 6, n % 6)).digest, range(18))] == 3 * right


def test_runs_alike_need_no_new_memory(request, model):
    alone = opened(request.node.callspec.params["model"])
    alone.run(ids(2, 16))
    (buffers,) = alone.engine._idle
    alone.run(ids(2, 16))
    before = buffers.count
    for seed in range(3):
        alone.run(ids(2, 16, seed))
    assert alone.engine._idle == [buffers] and buffers.count == before


def test_weights_are_packed_once(model):
    packed = [(n, a["weight"]) for n, a in zip(model.nodes, model.engine.arguments) if a]
    assert len(packed) == (sum(n.op == "linear" for n in model.nodes) if FAST else 0)
    assert all(np.array_equal(p.weight[0], model.constants[n.inputs["weight"]]) for n, p in packed)


def test_a_buffer_is_used_again_only_when_nothing_looks_at_it():
    buffers = Buffers()
    with reusing(buffers):
        first = empty((3, 5), np.int32)
        view = first[1:, ::2].T
        where = first.__array_interface__["data"][0]
        del first
        assert empty((3, 5), np.int32).__array_interface__["data"][0] != where
        del view
        gc.collect()
        assert {empty((15,), np.int32).__array_interface__["data"][0] for _ in range(2)} == {where}
    assert empty(4, np.int8).base is None


def test_a_refused_run_leaves_the_memory_behind(model):
    def fail(node, tensors, made):
        raise BoundError("no further")

    model.run(ids(1, 4))
    idle = len(model.engine._idle)
    with pytest.raises(BoundError):
        run(model, ids(1, 4), observers=[fail])
    assert len(model.engine._idle) == idle
    assert model.run(ids(1, 4)).digest == model.run(ids(1, 4), "reference").digest
