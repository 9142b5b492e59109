"""Micro-kernels: a few rows of bytes times one panel of 64 packed columns, in registers, over the whole depth.

A panel has four blocks for every 64 bytes of depth, each of 16 columns and 16 lines; a line holds 4 bytes of depth of
every column. A line is what one vector instruction multiplies by 4 bytes of a row, and a block what one tile
instruction multiplies by 64. The bytes are int8, or the halves of int16.

Every kernel here is c[i, j] = start[i, j] + sum_k x[i, k] * w[k, j] for its rows i and 64 columns j, in int32. Its
arguments are int64: the addresses of x, w, start and c, each with its stride in bytes but w (start's is 0 where one row
serves all), and the lines of the panel in use.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (VPDPBUSD, VPMADDWD, TDPBSSD, TDPBUSD,
LDTILECFG); LLVM's names of them: llvm/include/llvm/IR/IntrinsicsX86.td.
"""

# numba and llvmlite are typed in part.
# mypy: allow-untyped-defs, allow-incomplete-defs, no-check-untyped-defs

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

COLUMNS = 64  # of a panel
DEPTH = 64  # bytes of a step
LINE, BLOCK, STEP = 64, 1024, 4096  # bytes of a line, of a block, of the four blocks of a step
TILE = 16  # rows and columns of a tile of sums

_VOID, _I8, _I32, _I64 = ir.VoidType(), ir.IntType(8), ir.IntType(32), ir.IntType(64)
_POINTER = ir.PointerType(_I8)
_SIGNATURE = types.void(*(types.int64,) * 8)
Sums = list[list[Any]]


def _int(value: int, kind: ir.IntType = _I64) -> Any:
    return ir.Constant(kind, value)


def _function(builder, name: str, result, *arguments):
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def _plus(builder, base, step, count: int):
    return builder.add(base, builder.mul(step, _int(count)))


def _pointer(builder, base, offset: int, kind):
    return builder.inttoptr(builder.add(base, _int(offset)), ir.PointerType(kind))


def _splat(builder, value, kind):
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, value, _int(0, _I32))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(_I32, kind.count), [0] * kind.count))


def _counted(builder, stop, sums: Sums, body: Callable[[Any, Sums], Sums]) -> Sums:
    """The sums after body(index, sums) for every index below stop."""
    before, head = builder.block, builder.append_basic_block("head")
    inside, after = builder.append_basic_block("inside"), builder.append_basic_block("after")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(_I64)
    carried = [[builder.phi(one.type) for one in row] for row in sums]
    builder.cbranch(builder.icmp_signed("<", index, stop), inside, after)
    builder.position_at_end(inside)
    made = body(index, carried)
    following = builder.add(index, _int(1))
    for block, value, row_of in ((before, _int(0), sums), (builder.block, following, made)):
        index.add_incoming(value, block)
        for ends, values in zip(carried, row_of):
            for one, end in zip(ends, values):
                one.add_incoming(end, block)
    builder.branch(head)
    builder.position_at_end(after)
    return carried


@intrinsic
def address(typing, array):
    """Of an array's first element. The caller keeps the array alive."""

    def emit(context, builder, signature, arguments):
        return builder.ptrtoint(context.make_array(signature.args[0])(context, builder, arguments[0]).data, _I64)

    return types.int64(array), emit


def _byte_products(builder, total, x, w):
    """Lane by lane: four uint8 of x times four int8 of w, all summed."""
    name, kind = "llvm.x86.avx512.vpdpbusd.512", total.type
    return builder.call(_function(builder, name, kind, kind, kind, kind), [total, x, w])


def _word_products(builder, total, x, w):
    """Lane by lane: two int16 of x times two int16 of w, both summed."""
    pairs = ir.VectorType(ir.IntType(16), 2 * total.type.count)
    multiply = _function(builder, "llvm.x86.avx2.pmadd.wd", total.type, pairs, pairs)
    return builder.add(total, builder.call(multiply, [builder.bitcast(x, pairs), builder.bitcast(w, pairs)]))


def vector_kernel(rows: int, lanes: int, vectors: int, product: Callable[..., Any]) -> Any:
    """For so many rows; `vectors` sums of `lanes` columns of each are in registers at a time."""
    kind = ir.VectorType(_I32, lanes)

    @intrinsic
    def kernel(typing, x, x_stride, w, start, start_stride, c, c_stride, lines):
        def emit(context, builder, signature, arguments):
            x, x_stride, w, start, start_stride, c, c_stride, lines = arguments
            x_rows = [_plus(builder, x, x_stride, i) for i in range(rows)]
            c_rows = [_plus(builder, c, c_stride, i) for i in range(rows)]
            starts = [_plus(builder, start, start_stride, i) for i in range(rows)]

            def columns(first: int) -> None:
                at = [4 * lanes * (first + v) for v in range(vectors)]  # bytes from the first sum of the panel
                inside = [offset // LINE * BLOCK + offset % LINE for offset in at]

                def body(line, sums: Sums) -> Sums:
                    step = builder.mul(builder.ashr(line, _int(4)), _int(STEP))
                    here = builder.add(w, builder.add(step, builder.mul(builder.and_(line, _int(15)), _int(LINE))))
                    ws = [builder.load(_pointer(builder, here, offset, kind), align=4 * lanes) for offset in inside]
                    made = []
                    for row, one in zip(sums, x_rows):
                        where = _pointer(builder, _plus(builder, one, line, 4), 0, _I32)
                        four = _splat(builder, builder.load(where, align=1), kind)
                        made.append([product(builder, total, four, of) for total, of in zip(row, ws)])
                    return made

                begun = [[builder.load(_pointer(builder, one, o, kind), align=4) for o in at] for one in starts]
                for row, one in zip(_counted(builder, lines, begun, body), c_rows):
                    for total, offset in zip(row, at):
                        builder.store(total, _pointer(builder, one, offset, kind), align=4)

            for first in range(0, COLUMNS // lanes, vectors):
                columns(first)
            return context.get_dummy_value()

        return _SIGNATURE, emit

    return kernel


def tile_kernel(down: int, multiply: str) -> Any:
    """For one or two tiles of rows, as `tile_shapes` has configured them; lines is a multiple of 16."""

    @intrinsic
    def kernel(typing, x, x_stride, w, start, start_stride, c, c_stride, lines):
        def emit(context, builder, signature, arguments):
            x, x_stride, w, start, start_stride, c, c_stride, lines = arguments
            load = _function(builder, "llvm.x86.tileloadd64", _VOID, _I8, _POINTER, _I64)
            store = _function(builder, "llvm.x86.tilestored64", _VOID, _I8, _POINTER, _I64)
            product = _function(builder, f"llvm.x86.{multiply}", _VOID, _I8, _I8, _I8)

            def at(base, stride, row: int, offset: int):
                return builder.inttoptr(builder.add(_plus(builder, base, stride, TILE * row), _int(offset)), _POINTER)

            sums = [(row, column, _int(2 * row + column, _I8)) for row in range(down) for column in range(2)]
            xs, ws = [_int(4 + row, _I8) for row in range(down)], [_int(6, _I8), _int(7, _I8)]

            def columns(half: int) -> None:
                offsets = [128 * half, 128 * half + 64]
                for row, column, tile in sums:
                    builder.call(load, [tile, at(start, start_stride, row, offsets[column]), start_stride])

                def body(step, _: Sums) -> Sums:
                    here = _plus(builder, w, step, STEP)
                    for column, tile in enumerate(ws):
                        block = (2 * half + column) * BLOCK
                        builder.call(load, [tile, _pointer(builder, here, block, _I8), _int(LINE)])
                    for row, tile in enumerate(xs):
                        builder.call(load, [tile, at(_plus(builder, x, step, DEPTH), x_stride, row, 0), x_stride])
                        for column, of in enumerate(ws):
                            builder.call(product, [_int(2 * row + column, _I8), tile, of])
                    return []

                _counted(builder, builder.ashr(lines, _int(4)), [], body)
                for row, column, tile in sums:
                    builder.call(store, [tile, at(c, c_stride, row, offsets[column]), c_stride])

            columns(0)
            columns(1)
            return context.get_dummy_value()

        return _SIGNATURE, emit

    return kernel


def tile_shapes(rows: int) -> np.ndarray:
    """What LDTILECFG reads for up to 32 rows: sums in tiles 0 to 3, rows in 4 and 5, columns in 6 and 7."""
    shapes = np.zeros(64, np.uint8)
    first, second = min(rows, TILE), max(rows - TILE, 1)
    shapes[0] = 1  # the palette
    shapes[16:32:2] = LINE  # bytes of a row of each tile
    shapes[48:56] = first, first, second, second, first, second, TILE, TILE
    return shapes


@intrinsic
def configure(typing, shapes):
    """Tiles of these shapes, for this thread, until `release`; shapes: the address of 64 bytes."""

    def emit(context, builder, signature, arguments):
        where = builder.inttoptr(arguments[0], _POINTER)
        builder.call(_function(builder, "llvm.x86.ldtilecfg", _VOID, _POINTER), [where])
        return context.get_dummy_value()

    return types.void(types.int64), emit


@intrinsic
def release(typing):
    """Tiles given back: a thread that holds none is cheaper to switch."""

    def emit(context, builder, signature, arguments):
        builder.call(_function(builder, "llvm.x86.tilerelease", _VOID), [])
        return context.get_dummy_value()

    return types.void(), emit


def byte_kernels() -> list[Any]:
    """For 1 to 6 rows of uint8: 24 sums of 16 lanes, 4 lines and one splat fit the 32 registers of AVX-512."""
    return [vector_kernel(rows, 16, 4, _byte_products) for rows in range(1, 7)]


def word_kernels() -> list[Any]:
    """For 1 to 6 rows of int16: 12 sums of 8 lanes, 2 lines and one splat fit the 16 registers of AVX2."""
    return [vector_kernel(rows, 8, 2, _word_products) for rows in range(1, 7)]
