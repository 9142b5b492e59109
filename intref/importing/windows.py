"""The standard operators of ONNX that look through a window: Conv and MaxPool."""

from collections.abc import Sequence

import numpy as np

from intref.errors import FormatError
from intref.importing.graph import Array, Call
from intref.importing.importer import Importer, constant, imports
from intref.importing.values import Tensor, Value


@imports("Conv", attrs="auto_pad dilations group kernel_shape pads strides")
def conv(net: Importer, call: Call, x: Tensor, weight: Value, bias: Value | None = None) -> Value:
    """Along one or two axes."""
    taps = np.asarray(net.integers(call, constant(call, weight, "weight")))
    start = (
        np.zeros(len(taps), np.int64) if bias is None else np.asarray(net.integers(call, constant(call, bias, "bias")))
    )
    return convolved(net, call, x, taps, start, 0)


def convolved(net: Importer, call: Call, x: Tensor, taps: Array, bias: Array, zero_point: int) -> Value:
    rank = len(x.shape) - 2
    if rank not in (1, 2) or taps.ndim != rank + 2:
        raise net.refuse("an image [B C X] or [B C Y X] and weights alike", f"{[*x.shape]} and {[*taps.shape]}")
    if taps.shape[1] * call.attrs.get("group", 1) != x.shape[1]:
        raise FormatError(
            f"{call.at}: group: expected {x.shape[1]} channels, found {call.attrs.get('group', 1)} of {taps.shape[1]}"
        )
    kernel = list(taps.shape[2:])
    if call.attrs.get("kernel_shape", kernel) != kernel:
        raise FormatError(f"{call.at}: kernel_shape: expected {kernel}, found {call.attrs['kernel_shape']}")
    attrs = _window(net, call, x, kernel)
    image = net.reshape(x, (*x.shape[:2], 1, *x.shape[2:])) if rank == 1 else x
    square = taps.reshape(*taps.shape[:2], 1, -1) if rank == 1 else taps
    y = net.op(
        "conv2d", {"x": image, "weight": (square, "int8"), "bias": (bias, "int32")}, zero_point=zero_point, **attrs
    )
    return net.reshape(y, (*y.shape[:2], y.shape[3])) if rank == 1 else y


def _window(net: Importer, call: Call, x: Value, kernel: Sequence[int]) -> dict[str, int]:
    """Strides, dilations and pads by the names that our ops have for them; one axis is the second."""
    rank = len(kernel)
    strides, dilations = (list(call.attrs.get(name, [1] * rank)) for name in ("strides", "dilations"))
    pads = _pads(net, call, x, kernel, strides, dilations)
    if len(strides) != rank or len(dilations) != rank or len(pads) != 2 * rank:
        raise FormatError(
            f"{call.at}: expected strides, dilations and pads of {rank} axes, found {strides}, {dilations}, {pads}"
        )
    flat = [1] * (2 - rank)
    names = zip(("y", "x"), flat + strides, flat + dilations)
    found = {
        f"{word}_{axis}": n
        for axis, stride, dilation in names
        for word, n in (("stride", stride), ("dilation", dilation))
    }
    edges = [0] * (2 - rank) + pads[:rank] + [0] * (2 - rank) + pads[rank:]
    return found | dict(zip(("top", "left", "bottom", "right"), edges))


def _pads(
    net: Importer, call: Call, x: Value, kernel: Sequence[int], strides: list[int], dilations: list[int]
) -> list[int]:
    kind = call.attrs.get("auto_pad", "NOTSET")
    if kind == "NOTSET":
        return list(call.attrs.get("pads", [0] * 2 * len(kernel)))
    if kind == "VALID":
        return [0] * 2 * len(kernel)
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        raise net.refuse("auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER", kind)
    spans = zip(x.shape[2:], kernel, strides, dilations)
    whole = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in spans]
    small, large = [n // 2 for n in whole], [n - n // 2 for n in whole]
    return small + large if kind == "SAME_UPPER" else large + small


@imports("MaxPool", attrs="auto_pad ceil_mode dilations kernel_shape pads storage_order strides")
def max_pool(net: Importer, call: Call, x: Tensor) -> Value:
    """Along one or two axes."""
    kernel = list(call.attrs["kernel_shape"])
    attrs = _window(net, call, x, kernel)
    if (
        call.attrs.get("ceil_mode")
        or attrs.pop("dilation_y") != 1
        or attrs.pop("dilation_x") != 1
        or len(call.outputs) > 1
    ):
        raise net.refuse("ceil_mode 0, no dilations, one output", dict(call.attrs))
    image = net.reshape(x, (*x.shape[:2], 1, *x.shape[2:])) if len(kernel) == 1 else x
    height, width = [1, *kernel][-2:]
    y = net.op("max_pool", {"x": image}, height=height, width=width, **attrs)
    return net.reshape(y, (*y.shape[:2], y.shape[3])) if len(kernel) == 1 else y
