"""Triton's interpreter: an epilogue that adds its bias by tl.fma, rounded once, and one that does not."""

import os
from unittest.mock import patch

from intref import call
from intref.vectors import cases
from intref.vectors.drawn import drawn
from oracles import Tally

CALLS = 100
ORDERS = ("token_first", "channel_first", "scales_first")
CONTRACTS = ("off", "fma")


@patch.dict(os.environ, {"TRITON_INTERPRET": "1"})
def tallies() -> list[Tally]:
    import triton
    from triton._C.libtriton import interpreter

    if not hasattr(interpreter, "fma_fp32"):
        raise ImportError(name="interpreter of Triton whose tl.fma rounds once")
    return [_tally(triton.__version__, order, contract) for order in ORDERS for contract in CONTRACTS]


def _tally(version: str, order: str, contract: str) -> Tally:
    from triton_epilogue import epilogue

    note = "off: a * b + c, which the interpreter leaves apart; fma: tl.fma"
    tally = Tally("gpu-w8a8", f"epilogue_fp32 {order}, {contract}", "Triton's interpreter", version, note)
    for case in (*cases("epilogue_fp32"), *(drawn("epilogue_fp32", n) for n in range(CALLS))):
        ways = {
            (o, c): call("epilogue_fp32", case.tensors, {"order": o, "contract": c})["y"]
            for o in ORDERS
            for c in CONTRACTS
            if o == order or c == contract
        }
        ours = ways.pop((order, contract))
        others = {f"{o}, {c}": y for (o, c), y in ways.items()}
        tally.compare(ours, epilogue(case.tensors, order, contract), others)
    return tally
