"""Are arrays of other libraries taken as they are, and is everything that would need a cast refused by its name?"""

import numpy as np
import pytest

from intref.devices.arrays import as_array
from intref.testing import assert_bitexact


class OnDevice:
    """What a library with memory of its own offers: DLPack that NumPy cannot read, and a way to the host."""

    def __init__(self, array, **ways):
        self.dtype = array.dtype
        for name, answer in ways.items():
            setattr(self, name, lambda answer=answer: answer)

    def __dlpack__(self, **_):
        raise BufferError("not in this memory")

    def __dlpack_device__(self):
        return (2, 0)


class Arrayed(OnDevice):
    def __init__(self, array, made):
        super().__init__(array)
        self.made = made

    def __array__(self, dtype=None, copy=None):
        return self.made


EXPECTED = np.arange(12, dtype=np.int32).reshape(3, 4)


def numpy_layouts():
    wide = np.repeat(EXPECTED, 2, axis=1)
    frozen = EXPECTED.copy()
    frozen.flags.writeable = False
    return {
        "big-endian": EXPECTED.astype(">i4"),
        "every other": wide[:, ::2],
        "Fortran": np.asfortranarray(EXPECTED),
        "negative strides": EXPECTED[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": frozen,
        "to the host by cpu": OnDevice(EXPECTED, cpu=EXPECTED),
        "to the host by get": OnDevice(EXPECTED, get=EXPECTED),
        "to the host by __array__": Arrayed(EXPECTED, EXPECTED),
    }


@pytest.mark.parametrize("layout", numpy_layouts())
def test_is_a_layout_no_difference(layout):
    assert_bitexact(numpy_layouts()[layout], EXPECTED)
    assert as_array(numpy_layouts()[layout]).dtype == np.int32


@pytest.mark.parametrize("value", [np.int16(-5), np.array(-5, np.int16)])
def test_has_a_scalar_no_axes(value):
    assert_bitexact(value, np.array(-5, np.int16))
    with pytest.raises(AssertionError, match=r"int16 \[\], expected int16 \[1\]"):
        assert_bitexact(value, np.array([-5], np.int16))


REFUSED = {
    "bool": (np.ones(2, bool), "bool"),
    "float": (np.ones(2, np.float32), "float32"),
    "objects": (np.array([1, 2], object), "object"),
    "masked": (np.ma.array([1, 2], mask=[0, 1]), "MaskedArray"),
    "list": ([1, 2], "list"),
    "Python int": (3, "int"),
    "None": (None, "NoneType"),
    "another type on the host": (Arrayed(EXPECTED, EXPECTED.astype(np.int64)), "Arrayed of int32"),
    "a float type on the host": (Arrayed(EXPECTED, EXPECTED.astype(np.float64)), "Arrayed of int32"),
    "no way to the host": (OnDevice(EXPECTED), "OnDevice of int32"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_is_what_is_no_integer_array_refused_by_name(kind):
    value, name = REFUSED[kind]
    for pair in ((value, EXPECTED), (EXPECTED, value)):
        with pytest.raises(AssertionError, match=f"must be an integer array, not {name}$"):
            assert_bitexact(*pair)


def test_are_large_unsigned_values_told_apart():
    a, b = np.array([1 << 63, 7], np.uint64), np.array([(1 << 63) + 1, 7], np.uint64)
    assert_bitexact(a, a.copy())
    with pytest.raises(AssertionError, match=r"all \|d\| = 1\n.*dut 9223372036854775808 \(0x8000000000000000\)"):
        assert_bitexact(a, b)
    with pytest.raises(AssertionError, match=r"largest 18446744073709551615"):
        assert_bitexact(np.array([(1 << 64) - 1], np.uint64), np.array([0], np.uint64))
    with pytest.raises(AssertionError, match=r"uint64 \[2\], expected int64 \[2\]"):
        assert_bitexact(a, a.view(np.int64))


def test_are_torch_tensors_taken_as_they_are():
    torch = pytest.importorskip("torch")
    expected = torch.from_numpy(EXPECTED)
    assert_bitexact(expected, EXPECTED)
    assert_bitexact(expected.t().contiguous().t(), EXPECTED)
    assert_bitexact(torch.tensor(7, dtype=torch.int8), np.array(7, np.int8))
    assert_bitexact(torch.tensor([3], dtype=torch.uint8).expand(4), np.full(4, 3, np.uint8))
    assert_bitexact(torch.tensor([1 << 40]), np.array([1 << 40]))
    assert_bitexact(torch.tensor([(1 << 63) + 1], dtype=torch.uint64), np.array([(1 << 63) + 1], np.uint64))
    assert_bitexact(torch.nn.Parameter(expected, requires_grad=False), EXPECTED)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "bool", "complex64", "int4", "uint4"])
def test_is_a_torch_tensor_of_another_type_refused_by_name(dtype):
    torch = pytest.importorskip("torch")
    if not hasattr(torch, dtype):
        pytest.skip(f"this torch has no {dtype}")
    with pytest.raises(AssertionError, match=rf"not (Tensor of torch\.)?{dtype}$"):
        assert_bitexact(torch.empty(2, dtype=getattr(torch, dtype)), np.zeros(2, np.int8))


def test_is_a_torch_tensor_without_readable_elements_refused():
    torch = pytest.importorskip("torch")
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        fake = torch.empty(2, dtype=torch.int8)
    for tensor, words in (
        (torch.ones(2, requires_grad=True), "Tensor of torch.float32"),
        (torch.empty(2, dtype=torch.int8, device="meta"), "int8, which is a meta tensor without elements"),
        (torch.eye(2, dtype=torch.int32).to_sparse(), "int32, which is sparse, not dense"),
        (fake, "FakeTensor of torch.int8, which is traced and has no elements yet"),
    ):
        with pytest.raises(AssertionError, match=f"not .*{words}$"):
            assert_bitexact(tensor, np.zeros(2, np.int8))


def test_is_a_negated_view_of_torch_read_as_negated():
    torch = pytest.importorskip("torch")
    assert_bitexact(torch._neg_view(torch.from_numpy(EXPECTED)), -EXPECTED)


def test_are_jax_arrays_taken_as_they_are():
    jax = pytest.importorskip("jax")
    made = jax.numpy.asarray(EXPECTED)
    assert_bitexact(made, EXPECTED)
    assert_bitexact(made.T, EXPECTED.T)
    assert_bitexact(jax.numpy.int16(-3), np.array(-3, np.int16))
    for dtype in ("float32", "bfloat16", "int4", "bool"):
        with pytest.raises(AssertionError, match=f"must be an integer array, not {dtype}$"):
            assert_bitexact(made.astype(dtype), EXPECTED)


def test_is_a_jax_array_that_is_being_traced_refused():
    jax = pytest.importorskip("jax")

    def traced(x):
        assert_bitexact(x, EXPECTED)
        return x

    with pytest.raises(AssertionError, match="Tracer of int32, which is traced and has no elements yet\n"):
        jax.jit(traced)(EXPECTED)
