"""The cocotb side of test_rtl_cocotb.py: runs inside the simulator, on the unit that UNIT describes."""

import os

import cocotb

from intref.golden import read_golden
from intref.rtl.cocotb import Bench, Scoreboard
from intref.rtl.description import read_unit
from rtl_units import family


@cocotb.test()
async def every_supported_case(dut):
    """All that the unit is built for, in one simulation without a reset between."""
    unit, judged = read_unit(os.environ["UNIT"]), 0
    bench = await Bench.start(dut, unit)
    for case in read_golden(family("rescale")).cases:
        if not unit.refusal("rescale", case.inputs, case.attrs):
            board = Scoreboard(f"{case.id} y", case.outputs["y"], width=8)
            board.observe(*await bench.call(case.inputs, case.attrs, "y"))
            board.check()
            judged += 1
    assert judged > 50
    print(f"judged {judged} cases")
