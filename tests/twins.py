"""The comparison of two backends, for the tests of kernels."""

import contextlib

import numpy as np

from intref import call, kernels
from intref.errors import BoundError
from intref.kernels import threads


@contextlib.contextmanager
def worth_threads(count: int):
    """Any work at all is given to this many threads."""
    before = threads.GRAIN, threads._chosen[:]
    threads.GRAIN = 1
    kernels.set_threads(count)
    try:
        yield
    finally:
        threads.GRAIN, threads._chosen[:] = before


def outcome(name, tensors, attrs, backend):
    try:
        return call(name, tensors, attrs, backend)
    except BoundError as error:
        return str(error).removeprefix(f"{name}: ")


def assert_same(expected, found):
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and found[key].shape == value.shape
        np.testing.assert_array_equal(found[key], value)
