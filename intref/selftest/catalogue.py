"""Is every fault of the catalogue asked for? What applies to no case is not scored, so that it cannot survive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from intref.faults.kinds import applying, declared, idle, unseen
from intref.ops import OPS
from intref.vectors import Case


@dataclass(frozen=True)
class Asked:
    """kinds: of fault, in the catalogue. idle: of them, those that apply to no case of any op. unseen: op -> those that
    a larger call of the op would have and its cases have not."""

    kinds: int
    idle: tuple[str, ...]
    unseen: Mapping[str, tuple[str, ...]]

    def json(self) -> dict[str, Any]:
        return {"kinds": self.kinds, "idle": [*self.idle], "unseen": {op: [*k] for op, k in self.unseen.items() if k}}

    @property
    def lines(self) -> list[str]:
        """For people."""
        some = len(self.idle)
        told = f"{some} apply to no case: {', '.join(self.idle)}" if some else "each applies to some case"
        missed = [f"{op}: no case to try: {', '.join(kinds)}" for op, kinds in self.unseen.items() if kinds]
        return [f"catalogue: {self.kinds} kinds of fault, {told}", *missed]


def asked_for(given: Mapping[str, Sequence[Case]]) -> Asked:
    """What of the catalogue the cases of each op make applicable."""
    every: set[str] = set()
    missed: dict[str, tuple[str, ...]] = {}
    for name, cases in given.items():
        calls = [(case.tensors, OPS[name].check(case.tensors, case.attrs)) for case in cases]
        found = applying(OPS[name], calls)
        missed[name] = tuple(unseen(OPS[name], calls, found))
        every |= found
    return Asked(len(declared()), tuple(idle(every)), missed)
