"""For cocotb 2: a unit driven from its description, and a scoreboard that compares integers exactly.

    unit = read_unit("requantizer.toml")

    @cocotb.test()
    async def rescale(dut):
        bench = await Bench.start(dut, unit)
        for case in read_golden("golden/ops/rescale").cases:
            if not unit.refusal("rescale", case.inputs, case.attrs):
                board = Scoreboard(f"{case.id} y", case.outputs["y"], width=8)
                board.observe(*await bench.call(case.inputs, case.attrs, "y"))
                board.check()

`pack` and `unpack` work without the rest, on what any testbench holds. Nothing here imports cocotb before a bench
starts.
"""

from typing import Any

import numpy as np

from intref.comparison import compare
from intref.errors import Unsupported
from intref.rtl.beats import Field, encode, layout
from intref.rtl.bits import UnknownBits, as_integers, pack, unpack, unpack_lane
from intref.rtl.unit import Arrays, Unit

__all__ = ["Bench", "Scoreboard", "UnknownBits", "as_integers", "pack", "unpack"]

RESET_CLOCKS = 4
SHOWN = 3  # elements that are x or z


class Scoreboard:
    """Golden elements in C order against the words that a unit gives: equal, different, x or z, missing, too many.

    golden: an array of integers of any shape, not empty. width and signed: of a lane, by default as golden's dtype.
    lanes, first: as in `pack`. row: elements of a row, whose end fills no further lanes of its last word; by default
    the whole tensor. ValueError for a golden that is none, or that such lanes cannot hold.
    """

    def __init__(
        self,
        name: str,
        golden: np.ndarray,
        width: int | None = None,
        lanes: int = 1,
        signed: bool | None = None,
        first: str = "lsb",
        row: int | None = None,
    ):
        if not isinstance(golden, np.ndarray) or golden.dtype.kind not in "iu" or not golden.size:
            found = f"{golden.dtype} {list(golden.shape)}" if isinstance(golden, np.ndarray) else type(golden).__name__
            raise ValueError(f"{name}: golden must be an array of integers that is not empty, not {found}")
        self.name, self.golden = name, golden
        self.width, self.lanes = width or 8 * golden.dtype.itemsize, lanes
        self.signed = golden.dtype.kind == "i" if signed is None else signed
        self.first, self.row = first, row or golden.size
        self._check_width()
        self.extra = 0
        self.unknown: dict[int, str] = {}  # element -> its bits
        self._seen = 0
        self._values = np.zeros(golden.size, np.int64)

    def _check_width(self) -> None:
        if self.width > (63, 64)[self.signed]:
            raise ValueError(f"{self.name}: a lane of {self.width} bits, expected at most 63, or 64 with a sign")
        low = -(1 << self.width - 1) if self.signed else 0
        high = low + (1 << self.width) - 1
        if int(self.golden.min()) < low or int(self.golden.max()) > high:
            found = f"{int(self.golden.min())}..{int(self.golden.max())}"
            raise ValueError(f"{self.name}: golden has {found}, beyond the lane's {low}..{high}")

    def observe(self, *words: Any) -> None:
        """The next words of the unit: integers, strings of bits, or LogicArrays."""
        for word in words:
            count = min(self.lanes, self.row - self._seen % self.row)
            if self._seen == self.golden.size:
                self.extra += 1
                continue
            for lane in range(count):
                self._observe_lane(word, lane)
            self._seen += count

    def _observe_lane(self, word: Any, lane: int) -> None:
        element = self._seen + lane
        try:
            self._values[element] = unpack_lane(word, lane, self.width, self.lanes, self.signed, self.first)
        except UnknownBits as error:
            self.unknown[element] = error.bits

    @property
    def text(self) -> str:
        """What is wrong, in lines; empty if every element came once and is identical."""
        valid = np.arange(self.golden.size) < self._seen
        valid[[*self.unknown]] = False
        dtype = np.int64 if (self._values.astype(self.golden.dtype) != self._values).any() else self.golden.dtype
        found = compare(
            self._values.astype(dtype).reshape(self.golden.shape),
            self.golden.astype(dtype),
            valid.reshape(self.golden.shape),
        )
        lines = [f"{self.name}: {found.count}, {found.sizes}", found.place] if found.differing else []
        for element in [*self.unknown][:SHOWN]:
            golden = int(self.golden.ravel()[element])
            lines.append(f"x or z at [{self._place(element)}]: dut 0b{self.unknown[element]} golden {golden}")
        if len(self.unknown) > SHOWN:
            lines.append(f"{len(self.unknown)} elements are x or z")
        if self._seen < self.golden.size:
            lines.append(f"{self.golden.size - self._seen} of {self.golden.size} elements never came")
        if self.extra:
            lines.append(f"{self.extra} words came after the last element")
        if lines and not found.differing:
            lines.insert(0, f"{self.name}: not equal")
        return "\n  ".join(lines)

    def _place(self, element: int) -> str:
        return ", ".join(str(int(i)) for i in np.unravel_index(element, self.golden.shape))

    def check(self) -> None:
        """AssertionError with `text` unless all is equal."""
        if text := self.text:
            raise AssertionError(text)


class Bench:
    """Drives a unit by its description: inputs change at the falling edge, everything is read before the rising one."""

    def __init__(self, dut: Any, unit: Unit):
        self.dut, self.unit, self._layout = dut, unit, layout(unit)
        if unit.latency is not None:
            raise Unsupported(f"{unit.path}: a bench needs out.valid, this unit has a latency")

    @classmethod
    async def start(cls, dut: Any, unit: Unit, period: int = 10) -> "Bench":
        """A running clock of `period` steps, and a unit after its reset."""
        from cocotb.clock import Clock
        from cocotb.triggers import ClockCycles

        bench = cls(dut, unit)
        clock = getattr(dut, unit.clock)
        bench._strobe(unit.enter, "valid", 0)
        bench._strobe(unit.leave, "ready", 0)
        Clock(clock, period, unit="step").start()
        if unit.reset:
            reset = getattr(dut, unit.reset)
            reset.value = 0 if unit.reset_low else 1
            await ClockCycles(clock, RESET_CLOCKS)
            reset.value = 1 if unit.reset_low else 0
        return bench

    async def call(self, inputs: Arrays, attrs: dict[str, Any], output: str) -> list[str]:
        """Send one call; the words of an output, as bits, in the order they came. attrs: complete.

        TimeoutError if the unit makes no progress for `patience` clocks.
        """
        from cocotb.triggers import FallingEdge, ReadOnly

        call, unit, clock = encode(self.unit, inputs, attrs), self.unit, getattr(self.dut, self.unit.clock)
        beats, words, idle = iter(call.beats), list[str](), 0
        beat = next(beats, None)
        while (beat is not None or len(words) < call.results) and idle < unit.patience:
            await FallingEdge(clock)
            self._put(self._layout.setting, call.setting)
            self._strobe(unit.enter, "valid", int(beat is not None))
            self._strobe(unit.leave, "ready", 1)
            self._put(self._layout.beat, beat)
            await ReadOnly()
            idle += 1
            if beat is not None and self._is_high(unit.enter, "ready"):
                beat, idle = next(beats, None), 0
            if self._is_high(unit.leave, "valid"):
                words.append(str(getattr(self.dut, unit.outputs[output].signal).value))
                idle = 0
        await FallingEdge(clock)
        self._strobe(unit.enter, "valid", 0)
        self._strobe(unit.leave, "ready", 0)
        if idle == unit.patience:
            raise TimeoutError(f"no progress in {idle} clocks: {len(words)} of {call.results} results given")
        return words

    def _put(self, fields: tuple[Field, ...], word: int | None) -> None:
        """A word on its signals; x on all of them for None."""
        from cocotb.types import LogicArray

        for field in fields:
            bits = (1 << field.bits) - 1
            value: Any = LogicArray("X" * field.bits) if word is None else word >> field.offset & bits
            getattr(self.dut, field.signal).value = value

    def _strobe(self, strobes: Any, name: str, value: int) -> None:
        if name in strobes:
            getattr(self.dut, strobes[name]).value = value

    def _is_high(self, strobes: Any, name: str) -> bool:
        """Whether a strobe is 1; one that a unit has not always is, one that is x or z is a ValueError."""
        if name not in strobes:
            return True
        value = str(getattr(self.dut, strobes[name]).value)
        if value not in ("0", "1"):
            raise ValueError(f"{strobes[name]} is {value}")
        return value == "1"
