"""Triton kernels of four ops: int8 matrix product with an optional rescale as its epilogue, rescale, softmax.

All arithmetic is on int32 accumulators and int64, on calls that keep the contracts of the ops. They run on a GPU, or
without one in Triton's interpreter (TRITON_INTERPRET=1, set before this file is imported).
"""

# The language inside the kernels is Triton's, which has no types for Python's checker.
# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators

import triton
import triton.language as tl

FLOOR, CEIL, TOWARD_ZERO, ODD, HALF_UP, HALF_DOWN, HALF_AWAY, HALF_TO_ZERO, HALF_EVEN = (
    tl.constexpr(i) for i in range(9)
)
ROUNDINGS = ("floor", "ceil", "toward_zero", "odd", "half_up", "half_down", "half_away", "half_to_zero", "half_even")
MAX_K = 1 << 16  # 2**14 * MAX_K < 2**31


@triton.jit
def scaled(x, multiplier, shift, ROUNDING: tl.constexpr):
    """x * multiplier / 2**shift by one of ROUNDINGS; all int64, shift 0..94, a product of 95 bits, |result| < 2**62.

    The product is high * 2**32 + low, 0 <= low < 2**32; what the shift drops is compared with one half in two limbs.
    """
    part = (x & 0xFFFFFFFF) * multiplier
    high, low = (x >> 32) * multiplier + (part >> 32), part & 0xFFFFFFFF
    near, far = tl.minimum(shift, 32), tl.maximum(shift, 32) - 32
    one = tl.full(shift.shape, 1, tl.int64)
    down = tl.where(shift < 32, (high << (32 - near)) + (low >> near), high >> far)
    rest_high, rest_low = high - ((high >> far) << far), low & ((one << near) - 1)
    half_high, half_low = (one << far) >> 1, tl.where(far > 0, 0, (one << near) >> 1)
    tie = (rest_high == half_high) & (rest_low == half_low) & (shift > 0)
    more = (rest_high > half_high) | ((rest_high == half_high) & (rest_low > half_low))
    inexact = (rest_high | rest_low) != 0
    if ROUNDING == FLOOR:
        up = shift < 0
    elif ROUNDING == CEIL:
        up = inexact
    elif ROUNDING == TOWARD_ZERO:
        up = inexact & (down < 0)
    elif ROUNDING == ODD:
        up = inexact & ((down & 1) == 0)
    elif ROUNDING == HALF_UP:
        up = more | tie
    elif ROUNDING == HALF_DOWN:
        up = more
    elif ROUNDING == HALF_AWAY:
        up = more | (tie & (down >= 0))
    elif ROUNDING == HALF_TO_ZERO:
        up = more | (tie & (down < 0))
    else:
        up = more | (tie & ((down & 1) == 1))
    return down + up.to(tl.int64)


@triton.jit
def product(
    a, b, bias, multiplier, shift, y, M, N, K,
    b_k, b_n, a_batch, b_batch, channels, zero, low, high,
    BIASED: tl.constexpr, FUSED: tl.constexpr, ROUNDING: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
):  # fmt: skip
    """y[g, m, n] = sum_k a[g, m, k] * b[g, k, n] (+ bias[n]), int32; FUSED: rescaled and clipped on its way out.

    a is int8, uint8 or int16: what is no int8 is split into a high and a low byte, the low one less 128, and 128 times
    the column sums of b come back. b int8 lies at strides b_k, b_n, so a weight [N K] needs no copy. K at most MAX_K:
    the tensor cores saturate their accumulator after every step, so no partial sum may leave int32.
    """
    group = tl.program_id(2).to(tl.int64)
    m, n = tl.program_id(0) * BM + tl.arange(0, BM), tl.program_id(1) * BN + tl.arange(0, BN)
    a += group * a_batch
    b += group * b_batch
    acc, top, sums = tl.zeros((BM, BN), tl.int32), tl.zeros((BM, BN), tl.int32), tl.zeros((BN,), tl.int32)
    for start in range(0, K, BK):
        k = start + tl.arange(0, BK)
        rows = tl.load(a + m[:, None] * K + k[None, :], mask=(m[:, None] < M) & (k[None, :] < K), other=0)
        columns = tl.load(b + k[:, None] * b_k + n[None, :] * b_n, mask=(k[:, None] < K) & (n[None, :] < N), other=0)
        if a.dtype.element_ty == tl.int8:
            acc = tl.dot(rows, columns, acc, out_dtype=tl.int32)
        else:
            wide = rows.to(tl.int32)
            acc = tl.dot(((wide & 255) - 128).to(tl.int8), columns, acc, out_dtype=tl.int32)
            sums += tl.sum(columns.to(tl.int32), 0)
        if a.dtype.element_ty == tl.int16:
            top = tl.dot((wide >> 8).to(tl.int8), columns, top, out_dtype=tl.int32)
    if a.dtype.element_ty != tl.int8:
        acc += top * 256 + sums[None, :] * 128  # these wrap, so a sum that fits in the end is right
    if BIASED:
        acc += tl.load(bias + n, mask=n < N, other=0)[None, :]
    here = y + group * M * N + m[:, None] * N + n[None, :]
    inside = (m[:, None] < M) & (n[None, :] < N)
    if FUSED:
        of = tl.where(n < N, n % channels, 0)
        scale, by = tl.load(multiplier + of).to(tl.int64), tl.load(shift + of).to(tl.int64)
        shifts = by[None, :] + tl.zeros((BM, BN), tl.int64)
        result = scaled(acc.to(tl.int64), scale[None, :], shifts, ROUNDING) + zero
        tl.store(here, tl.minimum(tl.maximum(result, low), high).to(y.dtype.element_ty), mask=inside)
    else:
        tl.store(here, acc, mask=inside)


@triton.jit
def rescaled(
    x, multiplier, shift, y, size, inner, channels, shifts, zero_in, zero_out, low, high,
    ROUNDING: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """y = clip(round((x - zero_in) * multiplier / 2**shift) + zero_out), channels along an axis with `inner` elements
    behind it."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    channel = at // inner
    scale = tl.load(multiplier + channel % channels, mask=inside, other=0).to(tl.int64)
    by = tl.load(shift + channel % shifts, mask=inside, other=0).to(tl.int64)
    centered = tl.load(x + at, mask=inside, other=0).to(tl.int64) - zero_in
    result = scaled(centered, scale, by, ROUNDING) + zero_out
    tl.store(y + at, tl.minimum(tl.maximum(result, low), high).to(y.dtype.element_ty), mask=inside)


@triton.jit
def softmax(
    x, mask, multiplier, shift, table, p, total, H, Q, K, mask_batch, mask_query, BLOCK: tl.constexpr
):  # fmt: skip
    """softmax_exp2 of one row x[b, h, q, :] in each program; the row fits a block."""
    row = tl.program_id(0).to(tl.int64)
    query, head, batch = row % Q, row // Q % H, row // Q // H
    k = tl.arange(0, BLOCK)
    inside = k < K
    attend = tl.load(mask + batch * mask_batch + query * mask_query + k, mask=inside, other=0) != 0
    seen = tl.load(x + row * K + k, mask=inside, other=0).to(tl.int64)
    seen = tl.where(attend, seen, -(1 << 30))
    scale, by = tl.load(multiplier + head).to(tl.int64), tl.load(shift + head).to(tl.int64)
    u = ((tl.max(seen, 0) - seen) * scale) >> by
    i, r = (u >> 8) & 255, u & 255
    below, above = tl.load(table + i).to(tl.int64), tl.load(table + i + 1).to(tl.int64)
    mantissa = (below * (256 - r) + above * r) >> 8
    e = tl.where(attend, mantissa >> tl.minimum(u >> 16, 31), 0)
    q = (255 * e + (1 << 29)) >> 30
    tl.store(p + row * K + k, q.to(tl.uint8), mask=inside)
    tl.store(total + row, tl.sum(q, 0).to(tl.int32))
