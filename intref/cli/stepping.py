"""One element's arithmetic, as plain values and as text."""

from typing import Any

import numpy as np

from intref.cli.output import print_table, print_text
from intref.element import Element, Step

SHOWN = 8  # products at either end of a sum


def hexadecimal(value: int, dtype: str = "") -> str:
    """Two's complement, of the dtype's width, else of the smallest of 8, 16, 32, 64, .. bits that holds the value."""
    width = np.dtype(dtype).itemsize * 8 if dtype else 8
    while not dtype and not -(1 << width - 1) <= value < 1 << width - 1:
        width *= 2
    return f"0x{value & (1 << width) - 1:0{width // 4}x}"


def described(found: Element, path: str) -> dict[str, Any]:
    """Everything about the element; integers as text, since they may need more than 53 bits."""
    call = found.call
    return {
        "package": path,
        "call": call.id,
        "op": call.op,
        "attributes": {name: str(value) for name, value in call.attrs.items()},
        "output": call.port,
        "tensor": call.names.get(call.port),
        "index": list(found.index),
        "inputs": [_row(step) for step in found.inputs],
        "products": [dict(zip(("k", "a", "b", "product", "sum"), row)) for row in found.products],
        "steps": [_row(step) for step in found.steps],
        "dtype": found.dtype,
        "value": str(found.value),
        "hex": hexadecimal(found.value, found.dtype),
        "golden": None if found.golden is None else str(found.golden),
    }


def _row(step: Step) -> dict[str, Any]:
    row: dict[str, Any] = {"name": step.name, "text": step.text}
    if step.dtype:
        row["dtype"] = step.dtype
    if step.value is None:
        return row | {"shape": list(step.shape), "low": str(step.low), "high": str(step.high)}
    return row | {"value": str(step.value), "hex": hexadecimal(step.value, step.dtype)}


def printed(found: Element, path: str, whole: bool) -> None:
    """The element, top down."""
    call = found.call
    at = ", ".join(map(str, found.index))
    print_text(f"{call.id} of {path}: op {call.op}, output {call.port}[{at}]")
    for name, value in call.attrs.items():
        print_text(f"  {name} = {value}")
    print_text("\ninputs")
    rows = [(s.name, s.text, call.names.get(s.text, ""), s.dtype, *_cells(s)) for s in found.inputs]
    print_table(("", "input", "tensor", "dtype", "value>", "hex>", "of several"), rows)
    if found.products:
        print_text(f"\nproducts, of {len(found.products)}")
        print_table(("k>", "a>", "b>", "product>", "sum>"), _products(found, whole))
    print_text("\nsteps")
    print_table(("", "is", "value>", "hex>", "of several"), [(s.name, s.text, *_cells(s)) for s in found.steps])
    print_text(f"\nresult {found.value} ({hexadecimal(found.value, found.dtype)}), {found.dtype}, {_verdict(found)}")


def _cells(step: Step) -> tuple[str, str, str]:
    if step.value is None:
        return "", "", f"[{', '.join(map(str, step.shape))}] in [{step.low}, {step.high}]"
    return str(step.value), hexadecimal(step.value, step.dtype), ""


def _products(found: Element, whole: bool) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = [*found.products]
    if whole or len(rows) <= 2 * SHOWN:
        return rows
    return [*rows[:SHOWN], ("..",) * 5, *rows[-SHOWN:]]


def _verdict(found: Element) -> str:
    if found.golden is None:
        return "not stored in the package"
    return "as stored" if found.golden == found.value else f"STORED {found.golden}: the package is wrong"
