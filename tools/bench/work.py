"""What is compared: a row of the table is one piece of work, ours beside every peer's, checked before it is timed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import peers
from peers import Call

from intref import kernels
from intref.kernels import KERNELS, PREPARE, Buffers, reusing
from intref.ops import OPS
from intref.quantize.scales import gelu_constants, softmax_constants

BERT = [(128, n, k) for n, k in ((768, 768), (3072, 768), (768, 3072))]
SQUARE = [(n, n, n) for n in (256, 512, 1024, 2048, 4096)]
ONE = [(1, n, k) for n, k in ((768, 768), (3072, 768), (4096, 4096))]


@dataclass(frozen=True)
class Row:
    """ours, peers: calls of the same work. goal: of the ratio to the best peer. operations: of one call."""

    name: str
    goal: float
    ours: Call
    peers: dict[str, Call]
    operations: float = 0.0


def fast(op: str, constants: dict[str, np.ndarray], inputs: dict[str, np.ndarray], **attrs: object) -> Call:
    """One call of a kernel as `run` makes it: constants prepared, results in buffers that are used again."""
    full = OPS[op].check({**inputs, **constants}, attrs)
    prepared = PREPARE[op](constants) if op in PREPARE else {}
    arguments, buffers, kernel = {**inputs, **constants, **prepared, **full}, Buffers(), KERNELS[op]

    def call() -> dict[str, np.ndarray]:
        with reusing(buffers):
            return kernel(**arguments)

    return call


def rows(threads: int, wanted: Callable[[str], bool]) -> Iterator[Row]:
    """Every row whose name is wanted, one at a time: its operands are freed before the next are made."""
    kernels.set_threads(threads)
    makers = [(f"gemm {m}x{n}x{k}", lambda s=(m, n, k): products(*s, threads)) for m, n, k in BERT + SQUARE + ONE]
    makers += [(name, lambda make=make: make(threads)) for name, make in ELEMENTWISE.items()]
    for name, make in makers:
        if wanted(name):
            yield from make()


def products(m: int, n: int, k: int, threads: int) -> Iterator[Row]:
    """int8 times int8 to int32."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-128, 128, shape).astype(np.int8) for shape in ((m, k), (n, k)))
    ours = fast("linear", {"weight": w, "bias": np.zeros(n, np.int32)}, {"x": x})
    theirs = peers.integer_products(x, np.ascontiguousarray(w.T), threads)
    right = ours()["y"].copy()
    for name, (_, made) in theirs.items():
        same(name, made, right)
    calls = {name: call for name, (call, _) in theirs.items()} | peers.quantized_linear(x, w.T, threads)
    goal = 1.2 if m == 1 else 1.03 if m == 128 else 1.0
    operations = 2.0 * m * n * k
    yield Row(f"gemm {m}x{n}x{k}", goal, ours, calls, operations)
    if m >= 128:
        yield Row(f"gemm {m}x{n}x{k}, against ort s8s8", 12, ours, {"ort s8s8": calls["ort s8s8"]}, operations)


def same(name: str, found: np.ndarray, right: np.ndarray) -> None:
    """Stop unless a peer computes what we do: a ratio of times of different work says nothing."""
    if not np.array_equal(found, right):
        where = tuple(int(i) for i in np.argwhere(found != right)[0])
        raise SystemExit(f"{name} differs at {where}: {found[where]}, ours {right[where]}")


def softmax(threads: int) -> Iterator[Row]:
    torch = peers.torch_with(threads)
    x = np.random.default_rng(0).integers(-20000, 20000, (8, 12, 128, 128)).astype(np.int32)
    mask = np.ones((8, 128), np.int8)
    given = torch.from_numpy(x.astype(np.float32) / 1000)
    ours = fast("softmax_ibert", {}, {"x": x, "mask": mask}, **softmax_constants(0.001))
    yield Row("softmax of 128, integer polynomial", 3, ours, {"torch f32": lambda: torch.softmax(given, -1)})


def gelu(threads: int) -> Iterator[Row]:
    torch = peers.torch_with(threads)
    x = np.random.default_rng(0).integers(-30000, 30000, (1024, 3072)).astype(np.int32)
    given = torch.from_numpy(x.astype(np.float32) / 10000)
    theirs = {"torch f32": lambda: torch.nn.functional.gelu(given)}
    polynomial = fast("gelu_ibert", gelu_constants(np.full(3072, 1e-4, np.float32))[0], {"x": x})
    yield Row("GELU, integer polynomial", 2, polynomial, theirs)
    codes, entries = (x >> 8).astype(np.int8), np.arange(-128, 128).astype(np.int8)
    yield Row("GELU, table of 256 entries", 9, fast("table", {"entries": entries}, {"x": codes}), theirs)


def layernorm(threads: int) -> Iterator[Row]:
    torch = peers.torch_with(threads)
    rng = np.random.default_rng(0)
    x = rng.integers(-(1 << 20), 1 << 20, (1024, 768)).astype(np.int32)
    gain, bias = rng.integers(1 << 10, 1 << 14, 768).astype(np.int32), np.zeros(768, np.int64)
    given, g = torch.from_numpy(x.astype(np.float32)), torch.ones(768)
    ours = fast(
        "layernorm_fixed", {"gain": gain, "bias": bias}, {"x": x}, eps=1, shift=30, low=-(1 << 23), high=(1 << 23) - 1
    )
    yield Row("LayerNorm of 768", 1.2, ours, {"torch f32": lambda: torch.nn.functional.layer_norm(given, (768,), g, g)})


def rescale(threads: int) -> Iterator[Row]:
    torch = peers.torch_with(threads)
    rng = np.random.default_rng(0)
    x = rng.integers(-(1 << 20), 1 << 20, (1024, 3072)).astype(np.int32)
    constants = {
        "multiplier": rng.integers(1 << 30, (1 << 31) - 1, 3072).astype(np.int32),
        "shift": np.full(3072, 45, np.int8),
    }
    given, scale = torch.from_numpy(x), torch.from_numpy((constants["multiplier"] * 2.0**-45).astype(np.float32))
    theirs = {"torch f32": lambda: torch.clamp(torch.round(given * scale), -128, 127).to(torch.int8)}
    for rule in ("half_up", "half_even"):
        ours = fast("rescale", constants, {"x": x}, rounding=rule, output="int8")
        yield Row(f"rescale int32 to int8, {rule}", 3, ours, theirs)


ELEMENTWISE = {"softmax": softmax, "gelu": gelu, "layernorm": layernorm, "rescale": rescale}
