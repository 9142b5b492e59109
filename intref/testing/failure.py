"""A kernel's wrong answer to one call: what it shows, and the smallest call that shows it, found when they are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from time import monotonic_ns
from typing import Any

import numpy as np

from intref.devices.arrays import as_array
from intref.devices.device import Device, DeviceError, Request
from intref.errors import IntrefError
from intref.explain.explanation import Explanation, OpExplanation, explain, explain_cases
from intref.explain.hypotheses import Observation
from intref.minimize.minimal import DIFFERS, Failure
from intref.minimize.search import Minimizer
from intref.minimize.shrink import Trial
from intref.ops import OPS
from intref.testing.corners import CornerCase

Arrays = Mapping[str, np.ndarray]
Kernel = Callable[..., Any]
CALLS = 400  # of the kernel, to find the smallest case
NANOSECONDS = 5_000_000_000  # after which the smallest so far is good enough


def ask(kernel: Kernel, case: CornerCase, op: str) -> tuple[Any, Arrays]:
    """What a kernel returns, one array of an op with one output by its name; and the inputs as it left them."""
    given = {name: t.copy() for name, t in case.tensors.items()}
    made = kernel(**given, **case.attrs)
    if made is not None and not isinstance(made, Mapping) and len(OPS[op].outputs) == 1:
        made = {next(iter(OPS[op].outputs)): made}
    return made, given


@dataclass(eq=False)
class WrongAnswer:
    """Outputs of the reference's dtypes and shapes, of which one element at least differs.

    others: (case, golden, dut) of what else the kernel answered, right or wrong: one rule has to give all of it.
    """

    op: str
    kernel: Kernel
    case: CornerCase
    golden: Arrays
    dut: Arrays
    others: Sequence[tuple[CornerCase, Arrays, Arrays]] = ()

    @cached_property
    def together(self) -> OpExplanation | None:
        """What explains this case and all others; None if there are no others."""
        seen = [(self.case, self.golden, self.dut), *self.others]
        answers = [Observation(c.id, OPS[self.op], c.tensors, c.attrs, golden, dut) for c, golden, dut in seen]
        return explain_cases(self.op, answers) if self.others else None

    @property
    def lines(self) -> list[str]:
        """For people; with others, the rule that gives all of them stands for those that give this case."""
        if self.together is None:
            return [*self.explanation.lines]
        return [*self.explanation.lines[:2], *self.together.lines]

    @cached_property
    def explanation(self) -> Explanation:
        return explain(self.op, self.case.tensors, self.case.attrs, self.golden, self.dut)

    @cached_property
    def smallest(self) -> tuple[str, CornerCase] | None:
        """The line that says it, and the smallest case that fails by the same rule; None if it is this one."""
        trial, device = Trial(dict(self.case.tensors), self.case.attrs), _KernelDevice(self.kernel, self.case)
        first = Failure(DIFFERS, dict(self.golden), dict(self.dut), rules=frozenset(self.explanation.rules))
        found = Minimizer(device, OPS[self.op], CALLS).run(trial, first, self.case.id or self.op)
        if found.trial is trial:
            return None
        case = CornerCase("", "the smallest failing case", found.trial.tensors, found.trial.attrs)
        return found.lines[0], case


class _KernelDevice(Device):
    """A kernel as a device that knows one set of attributes and gets tired."""

    def __init__(self, kernel: Kernel, case: CornerCase):
        self._kernel, self._case, self._end = kernel, case, monotonic_ns() + NANOSECONDS

    def call(self, request: Request) -> dict[str, np.ndarray] | None:
        if request.attrs != self._case.attrs or monotonic_ns() > self._end:
            return None
        try:
            made, _ = ask(self._kernel, self._case._replace(tensors=request.inputs), request.op)
            return {name: as_array(value) for name, value in made.items()}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # on a smaller case it may fail in another way, or skip the test, or exit
            raise DeviceError("crashed", type(error).__name__) from None


class BitMismatch(AssertionError):
    """Bits differ. case: the call that shows it, of `op`; None where only tensors were compared. port, index: the first
    element that differs. smallest: the smallest call that fails alike.
    rules: what explains every call that was asked, likeliest first."""

    def __init__(self, head: str, answer: WrongAnswer | None = None, index: tuple[int, ...] | None = None):
        super().__init__(head)
        self._head, self._answer, self._index = head, answer, index
        self.op: str | None = answer.op if answer else None
        self.case: CornerCase | None = answer.case if answer else None

    def of(self, op: str, case: CornerCase) -> "BitMismatch":
        """The same, as what a call shows."""
        self.op, self.case = op, case
        return self

    @property
    def port(self) -> str | None:
        return self._answer.explanation.port if self._answer else None

    @property
    def index(self) -> tuple[int, ...] | None:
        return self._answer.explanation.difference.first if self._answer else self._index

    @property
    def rules(self) -> tuple[str, ...]:
        if self._answer is None:
            return ()
        if self._answer.together is None:
            return self._answer.explanation.rules
        found = self._answer.together.explained
        return tuple(finding.words for finding in found.findings) if found.known else ()

    @property
    def smallest(self) -> CornerCase | None:
        found = self._smallest()
        return found[1] if found else None

    def _smallest(self) -> tuple[str, CornerCase] | None:
        try:
            return self._answer.smallest if self._answer else None
        except IntrefError:  # a search that fails takes nothing from the failure itself
            return None

    def __str__(self) -> str:
        # Explained when read: a search over many failing calls reads the last one only.
        if self._answer is None:
            return self._head
        first, *others = self._answer.lines
        found = self._smallest()
        return "\n  ".join([f"{self._head}: {first}", *others, *([found[0]] if found else [])])


BitMismatch.__module__ = "intref.testing"  # where its users find it
