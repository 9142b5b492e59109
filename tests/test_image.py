"""Answers worked out by hand for convolution, pooling, sums, and the ops that move elements of a graph."""

from test_hand import y


def test_a_convolution_slides_its_window():
    # Rows 1 2 3 / 4 5 6, taps 1 10 / 100 1000: 1 + 20 + 400 + 5000 = 5421; 2 + 30 + 500 + 6000 is too large a tap for
    # int8, so the taps are 1 2 / 3 4: 1 + 4 + 12 + 20 = 37, 2 + 6 + 15 + 24 = 47, each + 5.
    x, weight, bias = ([[[[1, 2, 3], [4, 5, 6]]]], "int8"), ([[[[1, 2], [3, 4]]]], "int8"), ([5], "int32")
    assert y("conv2d", x=x, weight=weight, bias=bias) == [[[[42, 52]]]]
    # One row above and one column to the right that count 0, a step of 2 down: rows (0 0 0 0, 1 2 3 0), then (4 5 6 0):
    # only the first fits. 3 * 1 + 4 * 2 = 11, 3 * 2 + 4 * 3 = 18, 3 * 3 = 9.
    edges = {"top": 1, "right": 1, "stride_y": 2}
    assert y("conv2d", edges, x=x, weight=weight, bias=([0], "int32")) == [[[[11, 18, 9]]]]


def test_a_convolution_subtracts_the_zero_point_inside_only():
    # (5 - 3) * 2 = 4 and, outside, 0: 1 * 0 + 2 * 2 = 4; 1 * 2 + 2 * (7 - 3) = 10.
    x, weight = ([[[[5, 7]]]], "uint8"), ([[[[1, 2]]]], "int8")
    assert y("conv2d", {"zero_point": 3, "left": 1}, x=x, weight=weight, bias=([0], "int32")) == [[[[4, 10]]]]


def test_a_convolution_in_groups_and_apart():
    # Channel 0 meets filter 0, channel 1 filter 1; a dilation of 2 takes places 0 and 2, then 1 and 3.
    x = ([[[[1, 2, 3, 4]], [[10, 20, 30, 40]]]], "int8")
    weight = ([[[[1, -1]]], [[[2, 3]]]], "int8")
    got = y("conv2d", {"dilation_x": 2}, x=x, weight=weight, bias=([0, 100], "int32"))
    assert got == [[[[-2, -2]], [[210, 260]]]]


def test_a_maximum_knows_no_edge():
    # Windows of 2 x 2 in steps of 1 x 2, one column of nothing on the left: columns (-9), (-8, -7).
    x = ([[-9, -8, -7], [-6, -5, -4], [-3, -2, -1]], "int8")
    assert y("max_pool", {"height": 2, "width": 2, "stride_x": 2, "left": 1}, x=x) == [[-6, -4], [-3, -1]]


def test_rows_are_summed():
    assert y("sum_rows", x=([[1, -2], [30, 40], [-128, 127]], "int8")) == [[-97, 165]]


def test_integers_are_combined_and_wrap():
    a, b = ([2**31 - 1, -7], "int32"), ([1, 3], "int32")
    # 2**31 wraps to -2**31; (2**31 - 1) - 1; the product of the largest by 1 is itself.
    assert y("elementwise", {"operation": "add", "overflow": "wrap"}, a=a, b=b) == [-(2**31), -4]
    assert y("elementwise", {"operation": "subtract", "overflow": "refuse"}, a=a, b=b) == [2**31 - 2, -10]
    assert y("elementwise", {"operation": "multiply", "overflow": "refuse"}, a=a, b=b) == [2**31 - 1, -21]


def test_elements_move():
    x = ([[1, 2, 3], [4, 5, 6]], "int8")
    assert y("reshape", {"rank": "3", "d0": 3, "d1": 1, "d2": 2}, x=x) == [[[1, 2]], [[3, 4]], [[5, 6]]]
    assert y("swap_axes", x=([[[1, 2], [3, 4], [5, 6]]], "int8")) == [[[1, 2]], [[3, 4]], [[5, 6]]]
    assert y("slice_rows", {"start": 1, "step": 2, "count": 2}, x=([[0], [1], [2], [3]], "int8")) == [[1], [3]]
    assert y("slice_rows", {"start": 1, "step": 0, "count": 3}, x=x) == [[4, 5, 6]] * 3
    assert y("concat_rows", a=x, b=([[7, 8, 9]], "int8")) == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
