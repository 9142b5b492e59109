"""The standard operators of ONNX that mean something for integers."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from intref.errors import BoundError, FormatError
from intref.importing.graph import Array, Call
from intref.importing.importer import Importer, axes_of, constant, imports
from intref.importing.values import Tensor, Value
from intref.ops.op import dtype_range

NARROW = ("int8", "uint8", "int16")


@imports("Identity", "Dropout")
def identity(net: Importer, call: Call, x: Value, *others: Value) -> Value:
    return x


@imports("Cast")
def cast(net: Importer, call: Call, x: Value) -> Value:
    """To float and back is nothing; an integer dtype must hold the values."""
    kinds = {2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64"}
    dtype = kinds.get(call.attrs["to"])
    return x if dtype in (None, "int64") or not isinstance(x, Tensor) else net.cast(x, str(dtype))


@imports("Constant")
def constant_node(net: Importer, call: Call) -> Value:
    """The value, whichever attribute holds it."""
    return np.asarray(next(iter(call.attrs.values())))


@imports("Shape")
def shape(net: Importer, call: Call, x: Value) -> Value:
    return np.asarray(x.shape, np.int64)


@imports("Reshape")
def reshape(net: Importer, call: Call, x: Value, sizes: Value | None = None) -> Value:
    """0 keeps a size, -1 is what is left."""
    wanted = constant(call, np.asarray(call.attrs["shape"]) if sizes is None else sizes, "shape").ravel().tolist()
    if not call.attrs.get("allowzero"):
        wanted = [x.shape[i] if n == 0 else n for i, n in enumerate(wanted)]
    known = prod(n for n in wanted if n != -1)
    return net.reshape(x, [prod(x.shape) // max(known, 1) if n == -1 else n for n in wanted])


@imports("Flatten")
def flatten(net: Importer, call: Call, x: Value) -> Value:
    axis = call.attrs.get("axis", 1)
    axis += len(x.shape) * (axis < 0)
    return net.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@imports("Squeeze")
def squeeze(net: Importer, call: Call, x: Value, axes: Value | None = None) -> Value:
    named = "axes" in call.attrs or axes is not None
    out = axes_of(call, axes, len(x.shape)) if named else [i for i, n in enumerate(x.shape) if n == 1]
    if any(x.shape[i] != 1 for i in out):
        raise FormatError(f"{call.at}: axes: expected sizes of 1, found {[x.shape[i] for i in out]}")
    return net.reshape(x, [n for i, n in enumerate(x.shape) if i not in out] or [1])


@imports("Unsqueeze")
def unsqueeze(net: Importer, call: Call, x: Value, axes: Value | None = None) -> Value:
    listed = np.asarray(call.attrs.get("axes", axes)).ravel()
    sizes = list(x.shape)
    for axis in sorted(int(a) % (len(x.shape) + len(listed)) for a in listed):
        sizes.insert(axis, 1)
    return net.reshape(x, sizes)


@imports("Transpose")
def transpose(net: Importer, call: Call, x: Value) -> Value:
    order = call.attrs.get("perm") or [*range(len(x.shape))][::-1]
    if sorted(order) != [*range(len(x.shape))]:
        raise FormatError(f"{call.at}: perm: expected each of 0..{len(x.shape) - 1} once, found {order}")
    return net.permute(x, order)


@imports("Concat")
def concat(net: Importer, call: Call, *parts: Value) -> Value:
    rank = len(parts[0].shape)
    axis = call.attrs["axis"]
    sizes = {tuple(n for i, n in enumerate(p.shape) if i != axis % rank) for p in parts}
    if not -rank <= axis < rank or len({len(p.shape) for p in parts}) > 1 or len(sizes) > 1:
        raise FormatError(f"{call.at}: expected inputs alike but for axis {axis}, found {[[*p.shape] for p in parts]}")
    return net.concat([net.integers(call, p) for p in parts], axis % rank)


@imports("Slice")
def slice_(net: Importer, call: Call, x: Value, *given: Value | None) -> Value:
    """One axis after another; bounds are cut as ONNX cuts them."""
    starts, ends, axes, steps = (
        _listed(call, name, given, i) for i, name in enumerate(("starts", "ends", "axes", "steps"))
    )
    if starts is None or ends is None:
        raise net.refuse("starts and ends", "none")
    every = [*range(len(starts))] if axes is None else axes
    for start, end, axis, step in zip(starts, ends, every, steps or [1] * len(starts)):
        if step < 1:
            raise net.refuse("steps of at least 1", step)
        first, last, _ = slice(start, end, step).indices(x.shape[axis])
        x = net.slice(x, axis % len(x.shape), first, step, max(-(-(last - first) // step), 0))
    return x


def _listed(call: Call, name: str, given: Sequence[Value | None], at: int) -> list[int] | None:
    value: Any = call.attrs.get(name, given[at] if at < len(given) else None)
    return (
        None
        if value is None
        else [int(v) for v in constant(call, np.asarray(value) if isinstance(value, list) else value, name).ravel()]
    )


@imports("Split")
def split(net: Importer, call: Call, x: Value, sizes: Value | None = None) -> list[Value]:
    """Parts of the given sizes, or as many equal ones as there are outputs, the last one smaller."""
    axis = call.attrs.get("axis", 0) % len(x.shape)
    each = -(-x.shape[axis] // len(call.outputs))
    parts = _listed(call, "split", (sizes,), 0) or [each] * len(call.outputs)
    made, start = [], 0
    for name, wanted in zip(call.outputs, parts):
        size = min(wanted, x.shape[axis] - start)
        net.begin(name, call.at)
        made.append(net.named(net.slice(x, axis, start, 1, size)))
        start += size
    return made


@imports("Gather")
def gather(net: Importer, call: Call, x: Value, indices: Value) -> Value:
    """By constant indices: runs of equal steps are slices. Of a constant table by computed ones: embedding."""
    axis = call.attrs.get("axis", 0) % len(x.shape)
    if isinstance(indices, Tensor):
        table = net.integers(call, constant(call, x, "data"))
        return net.op("embedding", {"ids": net.cast(indices, "int32"), "table": table})
    at = np.where(indices < 0, indices + x.shape[axis], indices).astype(np.int64)
    if at.size == 0 or at.min() < 0 or at.max() >= x.shape[axis]:
        raise FormatError(f"{call.at}: indices: expected each below {x.shape[axis]}, found {at.ravel()[:8].tolist()}")
    if not isinstance(x, Tensor):
        return np.take(x, at, axis)
    if at.ndim == 0:
        rows, before, behind = net.by_rows(x, axis)
        picked = net.op("select_token", {"x": rows}, index=int(at))
        return net.reshape(picked, (*before, *behind) or (1,))
    parts = [net.slice(x, axis, start, step, count) for start, step, count in _runs(at.ravel().tolist())]
    return net.reshape(net.concat(parts, axis), (*x.shape[:axis], *at.shape, *x.shape[axis + 1 :]))


def _runs(indices: list[int]) -> list[tuple[int, int, int]]:
    """(start, step, count) of runs that follow one another."""
    runs: list[tuple[int, int, int]] = []
    for index in indices:
        if runs:
            start, step, count = runs[-1]
            if (count == 1 and index >= start) or (count > 1 and index == start + step * count):
                runs[-1] = start, index - start if count == 1 else step, count + 1
                continue
        runs.append((index, 1, 1))
    return runs


@imports("Expand")
def expand(net: Importer, call: Call, x: Value, sizes: Value) -> Value:
    wanted = tuple(int(n) for n in constant(call, sizes, "shape").ravel())
    return net.broadcast(x, np.broadcast_shapes(x.shape, wanted))


@imports("Pad")
def pad(
    net: Importer, call: Call, x: Value, pads: Value | None = None, value: Value | None = None, *axes: Value
) -> Value:
    """With a constant: it is set on either side."""
    if call.attrs.get("mode", "constant") != "constant" or axes:
        raise net.refuse("mode constant on all axes", call.attrs.get("mode", "axes"))
    sizes = _listed(call, "pads", (pads,), 0) or []
    filling = call.attrs.get("value", 0) if value is None else constant(call, value, "constant_value").ravel()[0]
    fill = int(np.asarray(net.integers(call, np.asarray(filling))))
    for axis, (before, after) in enumerate(zip(sizes, sizes[len(x.shape) :])):
        if min(before, after) < 0:
            raise net.refuse("pads of at least 0", sizes)
        edges = [np.full((*x.shape[:axis], n, *x.shape[axis + 1 :]), fill, np.int64) for n in (before, after)]
        if before or after:
            x = net.concat([edges[0], x, edges[1]], axis)
    return x


@imports("Relu")
def relu(net: Importer, call: Call, x: Tensor) -> Value:
    return net.op("clamp", {"x": x}, low=0, high=dtype_range(x.dtype)[1])


@imports("Clip")
def clip(net: Importer, call: Call, x: Tensor, low: Value | None = None, high: Value | None = None) -> Value:
    least, most = dtype_range(x.dtype)
    ends = [call.attrs.get(name, value) for name, value in (("min", low), ("max", high))]
    given = [None if v is None else int(np.asarray(net.integers(call, np.asarray(v))).ravel()[0]) for v in ends]
    bounds = [min(max(end if v is None else v, least), most) for v, end in zip(given, (least, most))]
    return net.op("clamp", {"x": x}, low=bounds[0], high=bounds[1])


@imports("Add", "Sub", "Mul")
def elementwise(net: Importer, call: Call, a: Value, b: Value) -> Value:
    """In int32; where that cannot be proved to hold every result, it wraps, as C does."""
    operation = {"Add": "add", "Sub": "subtract", "Mul": "multiply"}[call.op]
    a, b = net.integers(call, a), net.integers(call, b)
    if not isinstance(a, Tensor) and not isinstance(b, Tensor):
        return {"add": np.add, "subtract": np.subtract, "multiply": np.multiply}[operation](a, b)
    return combined(net, operation, a, b)


def combined(net: Importer, operation: str, a: Value, b: Value) -> Tensor:
    """a operation b."""
    if operation == "add" and not isinstance(a, Tensor):
        a, b = b, a
    if operation == "add" and isinstance(a, Tensor) and not isinstance(b, Tensor) and a.dtype != "uint8":
        low, high = net.range(a)
        fits = -(1 << 31) <= low + int(b.min()) and high + int(b.max()) < 1 << 31  # beyond, add_bias would saturate
        if fits and (prod(b.shape),) == b.shape[-1:] == a.shape[-1:] and len(b.shape) <= len(a.shape):
            return net.op("add_bias", {"x": a, "bias": (b.reshape(-1), "int32")}, output="int32")
    sizes = np.broadcast_shapes(a.shape, b.shape)
    inputs: dict[str, Any] = {}
    for port, value in (("a", a), ("b", b)):
        wide = net.broadcast(value, sizes)
        inputs[port] = wide if isinstance(wide, Tensor) else (wide, "int32")
    try:
        return net.op("elementwise", inputs, operation=operation, overflow="refuse")
    except BoundError:
        return net.op("elementwise", inputs, operation=operation, overflow="wrap")


@imports("MatMul")
def matmul(net: Importer, call: Call, a: Value, b: Value) -> Value:
    """linear where b is a constant matrix, matmul otherwise."""
    return product(net, net.integers(call, a), net.integers(call, b))


def product(net: Importer, a: Value, b: Value) -> Value:
    """a @ b in int32."""
    if min(len(a.shape), len(b.shape)) < 2 or a.shape[-1] != b.shape[-2]:
        raise net.refuse("matrices of [.. M K] and [.. K N]", f"{[*a.shape]} and {[*b.shape]}")
    if isinstance(a, Tensor) and not isinstance(b, Tensor) and len(b.shape) == 2:
        zero = np.zeros(b.shape[1], np.int64), "int32"
        return net.op("linear", {"x": a, "weight": (b.T, "int8"), "bias": zero})
    sizes = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (net.broadcast(v, (*sizes, *v.shape[-2:])) for v in (a, b))
    left, right = net.tensor(a), net.tensor(b)
    if right.dtype == "int8":
        return net.op("matmul", {"a": left, "b": right})
    if left.dtype not in NARROW or right.dtype not in NARROW:
        raise net.refuse("sides of int8, uint8 or int16", f"{left.dtype} and {right.dtype}")
    if left.dtype != "int8":
        return _product_of_bytes(net, left, right)
    flipped = net.op("matmul", {"a": net.op("transpose", {"x": right}), "b": net.op("transpose", {"x": left})})
    return net.op("transpose", {"x": flipped})


def _product_of_bytes(net: Importer, a: Tensor, b: Tensor) -> Value:
    """a @ b for unsigned b, of which matmul has none: a @ (b - 128) + 2 * (a @ 64). The clamp changes nothing."""
    if b.dtype != "uint8":
        raise net.refuse("a right side of int8 or uint8", b.dtype)
    one = {"multiplier": (np.ones(1, np.int64), "int32"), "shift": (np.zeros(1, np.int64), "int8")}
    attrs = {"rounding": "floor", "input_zero_point": 128, "output_zero_point": 0, "output": "int8"}
    half = net.op("matmul", {"a": a, "b": (np.full(b.shape, 64), "int8")})
    offset = combined(net, "add", half, half)
    shifted = net.op("matmul", {"a": a, "b": net.op("rescale", {"x": b, **one}, **attrs)})
    low, high = net.range(a)
    ends = sorted(a.shape[-1] * 255 * v for v in (min(low, 0), max(high, 0)))  # what the parts' ranges do not tell
    return net.op("clamp", {"x": combined(net, "add", shifted, offset)}, low=ends[0], high=ends[1])


@imports("Gemm")
def gemm(net: Importer, call: Call, a: Value, b: Value, c: Value | None = None) -> Value:
    """alpha * a @ b + beta * c, alpha and beta integers: linear where b is constant and c a vector."""
    a, b = net.integers(call, a), net.integers(call, b)
    alpha, beta = (int(np.asarray(net.integers(call, np.asarray(call.attrs.get(n, 1))))) for n in ("alpha", "beta"))
    a = net.permute(a, (1, 0)) if call.attrs.get("transA") else a
    b = net.permute(b, (1, 0)) if call.attrs.get("transB") else b
    c = None if c is None else net.integers(call, c)
    if alpha == 1 and isinstance(a, Tensor) and not isinstance(b, Tensor) and not isinstance(c, Tensor):
        if c is None or prod(c.shape) == c.shape[-1]:
            bias = np.broadcast_to(0 if c is None else c.reshape(-1) * beta, (b.shape[1],))
            return net.op("linear", {"x": a, "weight": (b.T, "int8"), "bias": (bias, "int32")})
    y = product(net, a, b)
    if alpha != 1:
        y = combined(net, "multiply", y, np.asarray([alpha]))
    if c is None or beta == 0:
        return y
    scaled = c if beta == 1 else combined(net, "multiply", c, np.asarray([beta])) if isinstance(c, Tensor) else c * beta
    return combined(net, "add", y, scaled)


@imports("Conv")
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


@imports("MaxPool")
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


@imports("ReduceSum")
def reduce_sum(net: Importer, call: Call, x: Value, axes: Value | None = None) -> Value:
    if axes is None and "axes" not in call.attrs and call.attrs.get("noop_with_empty_axes"):
        return x
    for axis in axes_of(call, axes, len(x.shape)):
        rows, before, behind = net.by_rows(x, axis)
        x = net.reshape(net.op("sum_rows", {"x": rows}), (*before, 1, *behind))
    return without(net, call, x, axes)


def without(net: Importer, call: Call, x: Value, axes: Value | None) -> Value:
    """x without the axes that were reduced to 1, unless they are to stay."""
    if call.attrs.get("keepdims", 1):
        return x
    gone = axes_of(call, axes, len(x.shape))
    return net.reshape(x, [n for i, n in enumerate(x.shape) if i not in gone] or [1])
