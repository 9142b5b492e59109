"""Products of integer matrices: weights packed once into panels, then rows of bytes times panels.

`packed` lays weights out for `tiles.py`; `product` multiplies. Sums wrap around in int32, so the caller sees to it that
no result leaves int32; what the intermediates do is then all the same.
"""

# numba infers the types of the compiled functions.
# mypy: allow-untyped-defs, no-check-untyped-defs

from dataclasses import dataclass

import numpy as np

from intref.kernels.arrays import empty, plain
from intref.kernels.isa import ISA
from intref.kernels.jit import jit
from intref.kernels.threads import over_rows
from intref.kernels.tiles import (
    COLUMNS,
    DEPTH,
    STEP,
    TILE,
    address,
    byte_kernels,
    configure,
    release,
    tile_kernel,
    tile_shapes,
    word_kernels,
)

FAST = ISA != "portable"
WORDS = ISA == "avx2"  # panels of int16; otherwise of bytes
TILED = ISA == "amx"
FEW = 4  # rows up to which tiles are emptier than vectors
ROWS = 192  # of x that stay in the second-level cache while all panels pass
FLIP = 128  # added to int8, which makes uint8 of it


@dataclass(frozen=True)
class Panels:
    """weight [batch, n, k], packed. lines: uint8 [batch, panels, bytes]. sums: int32 [batch, 64 * panels], over k."""

    weight: np.ndarray
    lines: np.ndarray
    sums: np.ndarray

    def start(self, bias: np.ndarray, zero: int) -> np.ndarray:
        """int32 [batch, 64 * panels], what sums begin with: bias, less what a zero point of x adds to each product."""
        start = np.zeros(self.sums.shape, np.int32)
        start[:, : len(bias)] = bias
        return start - np.int32(zero) * self.sums if zero else start


def aligned(shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Zeros whose first element lies at a multiple of 64."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.zeros(size + DEPTH, np.uint8)
    first = -room.ctypes.data % DEPTH
    return room[first : first + size].view(dtype).reshape(shape)


def packed(weight: np.ndarray) -> Panels:
    """int8 [batch, n, k] of any strides, in panels of 64 columns (rows of weight); what a full one lacks is 0."""
    batch, n, k = weight.shape
    each = 2 if WORDS else 4  # elements of a column in a line
    panels, steps = -(-n // COLUMNS), -(-k // (16 * each))
    lines = aligned((batch, panels, steps * STEP), np.uint8)
    sums = np.zeros((batch, panels * COLUMNS), np.int32)
    shaped = lines.view(np.int16 if WORDS else np.int8).reshape(batch * panels, steps, 4, 16, 16, each)
    over_rows(lambda a, b: _pack(weight, shaped, sums, a, b), batch * panels, 4 * weight.size)
    return Panels(weight, lines, sums)


@jit
def _pack(weight, panels, sums, start, stop):
    """Panels start to stop - 1 of all batches, column after column."""
    n, k = weight.shape[1], weight.shape[2]
    steps, each, across = panels.shape[1], panels.shape[5], sums.shape[1] // 64
    for panel in range(start, stop):
        batch, first = panel // across, panel % across * 64
        for j in range(first, min(first + 64, n)):
            block, column = j // 16 % 4, j % 16
            total, i = np.int32(0), 0
            for step in range(steps):
                for line in range(16):
                    for e in range(each):
                        value = weight[batch, j, i] if i < k else np.int8(0)
                        panels[panel, step, block, line, column, e] = value
                        total += np.int32(value)
                        i += 1
            sums[batch, j] = total


def product(x: np.ndarray, panels: Panels, bias: np.ndarray, zero: int, y: np.ndarray) -> None:
    """y [batch, m, n] int32 = (x - zero) @ weight.T + bias [n], modulo 2**32. x: int8, uint8 or int16 [batch, m, k].

    panels of one batch serve every batch of x.
    """
    start = panels.start(bias, zero)
    if WORDS:
        _passes(_padded(x.astype(np.int16)), False, panels, start, y)
    elif x.dtype == np.int16:  # 256 * high + low, each a product of bytes
        high = empty(y.shape, np.int32)
        _bytes((x >> 8).astype(np.int8), panels, np.zeros_like(start), high)
        _bytes((x & 255).astype(np.uint8), panels, start, y)
        y += high << 8
    else:
        _bytes(x, panels, start, y)


def _bytes(x: np.ndarray, panels: Panels, start: np.ndarray, y: np.ndarray) -> None:
    if TILED and x.shape[1] > FEW:
        _passes(_padded(x), x.dtype == np.int8, panels, start, y, tiled=True)
    elif x.dtype == np.int8:
        _passes(_padded(x ^ np.int8(-FLIP)), False, panels, start - FLIP * panels.sums, y)
    else:
        _passes(_padded(x), False, panels, start, y)


def _padded(x: np.ndarray) -> np.ndarray:
    """x as rows of bytes whose number is a multiple of 64: copied unless it is so already."""
    width = -(-x.shape[-1] * x.itemsize // DEPTH) * DEPTH
    if width == x.shape[-1] * x.itemsize:
        return plain(x).view(np.uint8)
    room = np.zeros((*x.shape[:-1], width // x.itemsize), x.dtype)
    room[..., : x.shape[-1]] = x
    return room.view(np.uint8)


def _passes(x: np.ndarray, signed: bool, panels: Panels, start: np.ndarray, y: np.ndarray, tiled: bool = False) -> None:
    """Every thread has some of the batches; of one batch some of the panels, or of the rows where these are more."""
    lines, (batch, m, _) = panels.lines, x.shape
    across = lines.shape[1]
    wide = across * COLUMNS > m

    def task(first: int, last: int) -> None:
        if batch > 1:
            block = first, last, 0, m, 0, across
        else:
            block = (0, 1, 0, m, first, last) if wide else (0, 1, first, last, 0, across)
        if tiled:
            _tiled(x, signed, lines, start, SHAPES, y, *block)
        else:
            _rows(x, lines, start, y, *block)

    parts = batch if batch > 1 else across if wide else m
    over_rows(task, parts, x.size * y.shape[2] >> 5)


if FAST:
    one, two, three, four, five, six = word_kernels() if WORDS else byte_kernels()

    @jit
    def _strip(x, x_stride, w, start, c, c_stride, lines, rows):
        """Any number of rows times one panel."""
        i = 0
        while rows - i >= 6:
            six(x + i * x_stride, x_stride, w, start, 0, c + i * c_stride, c_stride, lines)
            i += 6
        x, c, rest = x + i * x_stride, c + i * c_stride, rows - i
        if rest == 1:
            one(x, x_stride, w, start, 0, c, c_stride, lines)
        elif rest == 2:
            two(x, x_stride, w, start, 0, c, c_stride, lines)
        elif rest == 3:
            three(x, x_stride, w, start, 0, c, c_stride, lines)
        elif rest == 4:
            four(x, x_stride, w, start, 0, c, c_stride, lines)
        elif rest == 5:
            five(x, x_stride, w, start, 0, c, c_stride, lines)

    @jit
    def _leave(scratch, rows, y, top, first):
        """A panel's sums, in as many columns as y has from its first on."""
        for i in range(rows):
            for j in range(first, y.shape[1]):
                y[top + i, j] = scratch[i, j - first]

    @jit
    def _rows(x, panels, start, y, low, high, top, bottom, first, last):
        """y[b, top:bottom] of batches low to high - 1, in the columns of panels first to last - 1."""
        width, n = x.shape[2], y.shape[2]
        lines = np.int64(width // 4)
        scratch = np.empty((ROWS, 64), np.int32)
        for b in range(low, high):
            of = b % panels.shape[0]
            for i in range(top, bottom, ROWS):
                rows = min(ROWS, bottom - i)
                left = address(x[b, i])
                for p in range(first, last):
                    j = p * 64
                    w, begin = address(panels[of, p]), address(start[of]) + 4 * j
                    if j + 64 <= n:
                        _strip(left, width, w, begin, address(y[b, i]) + 4 * j, 4 * n, lines, rows)
                    else:
                        _strip(left, width, w, begin, address(scratch), 256, lines, rows)
                        _leave(scratch, rows, y[b], i, j)


if TILED:
    signed_32, signed_16 = tile_kernel(2, "tdpbssd"), tile_kernel(1, "tdpbssd")
    unsigned_32, unsigned_16 = tile_kernel(2, "tdpbusd"), tile_kernel(1, "tdpbusd")
    SHAPES = np.array([tile_shapes(rows) for rows in range(2 * TILE + 1)])

    @jit
    def _tiles(x, signed, rows, x_stride, w, start, c, c_stride, lines):
        """At most 32 rows times one panel."""
        if signed and rows > 16:
            signed_32(x, x_stride, w, start, 0, c, c_stride, lines)
        elif signed:
            signed_16(x, x_stride, w, start, 0, c, c_stride, lines)
        elif rows > 16:
            unsigned_32(x, x_stride, w, start, 0, c, c_stride, lines)
        else:
            unsigned_16(x, x_stride, w, start, 0, c, c_stride, lines)

    @jit
    def _tiled(x, signed, panels, start, shapes, y, low, high, top, bottom, first, last):
        """`_rows` by tiles: blocks of 32 rows, and a last one of fewer."""
        width, n = x.shape[2], y.shape[2]
        lines = np.int64(width // 4)
        scratch = np.empty((32, 64), np.int32)
        for b in range(low, high):
            of, i = b % panels.shape[0], top
            while i < bottom:
                rows = min(ROWS, bottom - i) // 32 * 32 or bottom - i
                tall = min(rows, 32)
                configure(address(shapes[tall]))
                for p in range(first, last):
                    j = p * 64
                    w, begin = address(panels[of, p]), address(start[of]) + 4 * j
                    for r in range(i, i + rows, tall):
                        left = address(x[b, r])
                        if j + 64 <= n:
                            _tiles(left, signed, tall, width, w, begin, address(y[b, r]) + 4 * j, 4 * n, lines)
                        else:
                            _tiles(left, signed, tall, width, w, begin, address(scratch), 256, lines)
                            _leave(scratch, tall, y[b], r, j)
                i += rows
        release()
