"""Answers of the ops of TOSA and RISC-V V, worked out by hand from their docstrings."""

import numpy as np

from intref import call


def y(op, attrs=None, **tensors):
    made = call(op, {name: np.array(value, dtype) for name, (value, dtype) in tensors.items()}, attrs or {})
    return made["y"].tolist()


def test_table_tosa():
    # 300 = 2 * 128 + 44: entries 258 and 259 hold 10 and 13, 10 * 128 + 3 * 44 = 1412.
    # -1 = -1 * 128 + 127: entries 255 and 256 hold -4 and 6, -512 + 10 * 127 = 758; -128 is entry 255 itself.
    entries = [0] * 513
    entries[255:260] = [-4, 6, 7, 10, 13]
    assert y("table_tosa", x=([300, -1, -128], "int16"), entries=(entries, "int16")) == [1412, 758, -512]


def rounded(x, shift, rounding, output="int32", multiplier=1):
    attrs = {"rounding": rounding, "output": output}
    return y("rescale", attrs, x=(x, "int32"), multiplier=([multiplier], "int32"), shift=([shift], "int8"))


def test_narrowing_of_riscv_vectors():
    # vnclip by 2: 6 / 4 = 1.5, 10 / 4 = 2.5, -6 / 4 = -1.5, 4 / 4 = 1, 600 / 4 = 150, beyond int8.
    x = [6, 10, -6, 4, 600]
    assert rounded(x, 2, "half_up", "int8") == [2, 3, -1, 1, 127]  # rnu
    assert rounded(x, 2, "half_even", "int8") == [2, 2, -2, 1, 127]  # rne
    assert rounded(x, 2, "floor", "int8") == [1, 2, -2, 1, 127]  # rdn
    assert rounded(x, 2, "odd", "int8") == [1, 3, -1, 1, 127]  # rod: -1.5 lies between -2 and -1


def test_vsmul_saturates_where_both_are_the_lowest():
    lowest = -(1 << 31)
    assert rounded([lowest, lowest + 1, 1 << 30], 31, "half_up", multiplier=lowest) == [
        (1 << 31) - 1,
        (1 << 31) - 1,
        -(1 << 30),
    ]


def test_rescale_of_tosa():
    # single: (4 + 1) * 3 / 8 = 1.875 -> 2; (-5 + 1) * 3 / 8 = -1.5 -> -1; and 10 each.
    attrs = {"rounding": "half_up", "output": "int8", "input_zero_point": -1, "output_zero_point": 10}
    scale = {"multiplier": ([3], "int32"), "shift": ([3], "int8")}
    assert y("rescale", attrs, x=([4, -5], "int8"), **scale) == [12, 9]
    # double, x / 8 and then 1/8 more away from 0: 0.25 -> 0.375 -> 0; 0.375 -> 0.5 -> 1; -0.375 -> -0.5 -> 0.
    double = {"rounding": "tosa_double", "output": "int8"}
    scale = {"multiplier": ([1 << 30], "int32"), "shift": ([33], "int8")}
    assert y("rescale", double, x=([2, 3, -3, 4], "int8"), **scale) == [0, 1, 0, 1]
