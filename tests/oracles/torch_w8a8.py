"""PyTorch on a CPU: an int8 product's accumulator, float32 scales of tokens and channels, float32 bias.

Every step is one elementwise operation on float32 tensors, which IEEE 754 defines: the order of the products is that
of the program, as it is in a GPU's epilogue without fused operations.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from intref import call
from intref.vectors import cases
from intref.vectors.drawn import drawn
from oracles import Tally

CALLS = 400
ORDERS = ("token_first", "channel_first", "scales_first")
WAYS = ("quotient", "reciprocal")


def tallies() -> Iterator[Tally]:
    import torch

    for order in ORDERS:
        note = "an accumulator, as torch._int_mm gives it, times the scales in this order"
        tally = Tally("gpu-w8a8", f"epilogue_fp32 {order}", "PyTorch CPU", torch.__version__, note)
        for case in (*cases("epilogue_fp32"), *(drawn("epilogue_fp32", n) for n in range(CALLS))):
            if case.attrs["order"] != order:
                continue
            ours = call("epilogue_fp32", case.tensors, {"order": order})["y"]
            others = _neighbours(case.tensors, order)
            tally.compare(ours, _epilogue(torch, case.tensors, order), others)
        _products(torch, tally, order)
        yield tally
    for by in WAYS:
        yield _token_quantization(torch, by)
    tally = Tally("gpu-w8a8", "quantize_fp32", "PyTorch CPU", torch.__version__, "round to int8 of x / scale")
    for n in range(CALLS):
        tensors, attrs = drawn("quantize_fp32", n).tensors, {"output": "int8", "axis": -1}
        if len(tensors["scale"]) > 1:
            continue
        tensors = {**tensors, "zero_point": np.zeros(1, np.int32)}
        ours = call("quantize_fp32", tensors, attrs)["y"]
        quotient = _tensor(torch, tensors["x"]) / _tensor(torch, tensors["scale"])
        theirs = torch.clamp(torch.round(quotient), -128, 127).to(torch.int8).numpy()
        away = torch.trunc(quotient.clamp(-999, 999) + 0.5 * torch.sign(quotient)).clamp(-128, 127).numpy()
        tally.compare(ours, theirs, {"half_away": away})
    yield tally


def _token_quantization(torch: Any, by: str) -> Tally:
    note = "max |x| / 127, then x / scale or x * (127 / max |x|)"
    tally = Tally("gpu-w8a8", f"quantize_token_fp32 {by}", "PyTorch CPU", torch.__version__, note)
    for case in (*cases("quantize_token_fp32"), *(drawn("quantize_token_fp32", n) for n in range(CALLS))):
        ours, other = (call("quantize_token_fp32", case.tensors, {"by": b}) for b in (by, *({*WAYS} - {by})))
        x = _tensor(torch, case.tensors["x"])
        peak = x.abs().amax(-1, keepdim=True)
        scale = peak / 127
        zero = peak == 0
        v = (
            x / torch.where(zero, 1, scale)
            if by == "quotient"
            else x * torch.where(zero, 0, torch.full_like(peak, 127) / peak)
        )
        away = torch.trunc(v + 0.5 * torch.sign(v)).numpy()
        tally.compare(
            ours["q"], torch.round(v).to(torch.int8).numpy(), {"half_away": away, "the other way": other["q"]}
        )
        tally.compare(ours["scale"], scale.numpy().view(np.int32))
    return tally


def _products(torch: Any, tally: Tally, order: str) -> None:
    """From int8 operands on."""
    stream = np.random.default_rng(ORDERS.index(order))
    for m, k, n in ((17, 64, 32), (33, 512, 64)):
        a, b = (torch.from_numpy(stream.integers(-127, 128, s).astype(np.int8)) for s in ((m, k), (k, n)))
        scales = {"token": stream.uniform(0.001, 0.1, (m, 1)), "channel": stream.uniform(0.001, 0.1, n)}
        scales["bias"] = stream.normal(0, 1, n)
        tensors = {key: v.astype(np.float32).view(np.int32) for key, v in scales.items()}
        acc = torch._int_mm(a, b).numpy()
        product = call("matmul", {"a": a.numpy(), "b": b.numpy()}, {})["y"]
        tally.compare(product, acc)
        tensors = {"x": product, **tensors}
        ours = call("epilogue_fp32", tensors, {"order": order})["y"]
        tally.compare(ours, _epilogue(torch, {**tensors, "x": acc}, order), _neighbours(tensors, order))


def _neighbours(tensors: dict[str, np.ndarray], order: str) -> dict[str, np.ndarray]:
    """The other orders, the last product and the bias rounded once, and all of it in float64."""
    told = {o: {"order": o} for o in ORDERS if o != order} | {"fma": {"order": order, "contract": "fma"}}
    return {o: call("epilogue_fp32", tensors, a)["y"] for o, a in told.items()} | {"float64": _in_float64(tensors)}


def _tensor(torch: Any, pattern: np.ndarray) -> Any:
    return torch.from_numpy(np.ascontiguousarray(pattern, np.int32).view(np.float32))


def _epilogue(torch: Any, tensors: dict[str, np.ndarray], order: str) -> np.ndarray:
    acc = torch.from_numpy(np.ascontiguousarray(tensors["x"])).to(torch.float32)
    token, channel, bias = (_tensor(torch, tensors[k]) for k in ("token", "channel", "bias"))
    if order == "scales_first":
        value = acc * (token * channel)
    else:
        value = acc * token * channel if order == "token_first" else acc * channel * token
    return np.asarray((value + bias).numpy().view(np.int32))


def _in_float64(tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Every step in float64, rounded once at the end."""
    token, channel, bias = (tensors[k].view(np.float32).astype(np.float64) for k in ("token", "channel", "bias"))
    return np.asarray((tensors["x"] * token * channel + bias).astype(np.float32).view(np.int32))
