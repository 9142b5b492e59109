"""Geometry of the pictures: a mismatch map as PNG, bars of a histogram, the chart of a model's nodes."""

import math
import struct
import zlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

RED = (226, 54, 68)
FAINT = 110  # opacity of a cell in which hardly anything differs, of 255
MAP_SIDE = 224  # pixels
FLAT = 8  # rows of a map that are drawn taller than wide
WIDTH, HEIGHT = 232, 150  # of a histogram
CHART_HEIGHT = 220
LEAST = 18  # pixels between none and the least share
DECADES = 6  # the chart of shares goes from 10**-4 % to 100 %
LABELLED = 12  # bars that all have their labels
MAX_NAMED = 72  # nodes that all have their names


def mismatch_map(picture: Mapping[str, Any]) -> dict[str, Any]:
    """src: data URI of a PNG, a pixel a cell, red where elements differ, the more opaque the more of them.

    width, height: in CSS pixels; caption: what a cell stands for.
    """
    (rows, columns), (high, wide) = picture["sheet"], picture["cell"]
    grid = (-(-rows // high), -(-columns // wide))
    pixel = max(3, min(24, MAP_SIDE // max(grid)))
    tall = max(pixel, 14) if grid[0] <= FLAT else pixel
    cell = "one element" if high * wide == 1 else f"{high} x {wide} elements"
    return {
        "src": f"data:image/png;base64,{b64encode(_png(grid, picture['cells'])).decode()}",
        "width": grid[1] * pixel,
        "height": grid[0] * tall,
        "caption": f"{_layout(picture['shape'], rows, columns)}; a cell is {cell}",
    }


def _layout(shape: Sequence[int], rows: int, columns: int) -> str:
    """A tensor's axes, and how they are laid out in two."""
    axes = " x ".join(map(str, shape)) or "a scalar"
    if [*shape] in ([rows, columns], [columns], []):
        return axes
    whole = rows * columns == math.prod(shape) and columns == shape[-1]
    return f"{axes}, as {rows:,} rows of {columns:,}" if whole else f"{axes}, wrapped into rows of {columns}"


def _png(grid: tuple[int, int], cells: Sequence[int]) -> bytes:
    """RGBA, 8 bits; grid: rows and columns; cells: see `intref.report.picture`."""
    rows, columns = grid
    pixels = bytearray(rows * (1 + 4 * columns))  # a zero before each row: no filter; all transparent
    for i, j, wrong, compared in zip(cells[::4], cells[1::4], cells[2::4], cells[3::4]):
        at = i * (1 + 4 * columns) + 1 + 4 * j
        pixels[at : at + 4] = bytes((*RED, FAINT + (255 - FAINT) * wrong // compared))
    header = struct.pack(">IIBBBBB", columns, rows, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(pixels), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def histogram(bars: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Bars of d = dut - golden, side by side in ascending order; see `intref.report.picture` for what comes in."""
    rows = [(int(low), int(high), count) for low, high, count in bars]
    tallest, left = max((count for *_, count in rows), default=1), 4.0
    step = min(44.0, (WIDTH - 2 * left) / max(len(rows), 1))
    left = (WIDTH - step * len(rows)) / 2
    floor, every = HEIGHT - 34, max(1, math.ceil(len(rows) / 8)) if len(rows) > LABELLED else 1
    drawn = []
    for i, (low, high, count) in enumerate(rows):
        tall = max(1.5, (floor - 18) * count / tallest)
        drawn.append(
            {
                "x": round(left + i * step + step * 0.1, 1),
                "middle": round(left + (i + 0.5) * step, 1),
                "width": round(step * 0.8, 1),
                "y": round(floor - tall, 1),
                "height": round(tall, 1),
                "label": _span(low, high) if i % every == 0 else "",
                "count": f"{count:,}" if len(rows) <= LABELLED else "",
                "title": f"d = {low}: {count:,}" if low == high else f"{low} <= d <= {high}: {count:,}",
            }
        )
    binned = any(low != high for low, high, _ in rows)
    return {"bars": drawn, "width": WIDTH, "height": HEIGHT, "floor": floor, "binned": binned}


def _span(low: int, high: int) -> str:
    """A bar's label: the error itself, or of a bin the power of two it starts at."""
    if low == high:
        return str(low) if abs(low) < 100_000 else f"{low:.0e}".replace("e+0", "e").replace("e+", "e")
    near = min(abs(low), abs(high))
    return f"{'-' if high < 0 else ''}2^{near.bit_length() - 1}"


def chart(nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The chart of a model's nodes in its order; nodes: name, op, and share and verdict of isolated and cumulative.

    Bars and steps stand on a logarithmic scale, as one wrong element in a million matters here.
    """
    step = max(5.0, min(22.0, 960 / max(len(nodes), 1)))
    left, top, floor = 92, 28, 28 + CHART_HEIGHT
    bottom = 118 if len(nodes) <= MAX_NAMED else 34
    drawn = [_node(node, i, left + i * step, step, floor) for i, node in enumerate(nodes)]
    ticks = [{"y": _level(10.0**-k, floor), "label": f"{100 * 10.0**-k:g} %"} for k in range(DECADES + 1)]
    return {
        "nodes": drawn,
        "ticks": ticks,
        "groups": _groups(nodes, left, step),
        "named": len(nodes) <= MAX_NAMED,
        "width": round(left + len(nodes) * step + 16),
        "height": floor + bottom,
        "left": left,
        "top": top,
        "floor": floor,
        "first": next((row for row in drawn if row["starts"]), None),
    }


def _level(share: float, floor: int) -> float:
    """The height at which a share stands; 0 on the floor."""
    if share <= 0:
        return floor
    part = 1 + math.log10(share) / DECADES
    return round(floor - LEAST - (CHART_HEIGHT - LEAST) * max(part, 0.0), 1)


def _node(node: Mapping[str, Any], index: int, x: float, step: float, floor: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": node["name"],
        "x": round(x, 1),
        "middle": round(x + step / 2, 1),
        "step": round(step, 1),
        "starts": node["starts"],
        "odd": index % 2 == 1,
    }
    for mode in ("isolated", "cumulative"):
        found = node.get(mode)
        row[mode] = found and {
            "y": _level(found["share"], floor),
            "height": round(floor - _level(found["share"], floor), 1),
            "title": f"{node['name']} ({node['op']}), {mode}: {found['words']}",
            "differs": found["verdict"] == "differs",
            "ran": found["verdict"] in ("differs", "equal"),
        }
    return row


def _groups(nodes: Sequence[Mapping[str, Any]], left: int, step: float) -> list[dict[str, Any]]:
    """Where the first part of the nodes' names changes."""
    groups: list[dict[str, Any]] = []
    for i, node in enumerate(nodes):
        label = str(node["name"]).partition(".")[0]
        if not groups or groups[-1]["label"] != label:
            groups.append({"label": label, "x": round(left + i * step, 1), "nodes": 0})
        groups[-1]["nodes"] += 1
    return groups
