"""The verdict on a device against one golden package: per case and as a whole."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from intref.modelfile import canonical

EQUAL, DIFFERS, UNSUPPORTED, NOT_RUN, CRASHED = "equal", "differs", "unsupported", "not_run", "crashed"
VERDICTS = (EQUAL, DIFFERS, UNSUPPORTED, NOT_RUN, CRASHED)
EXIT_CODES = {EQUAL: 0, DIFFERS: 1, CRASHED: 3, NOT_RUN: 3, UNSUPPORTED: 3}


@dataclass(frozen=True)
class Case:
    """One comparison.

    mode: op, isolated (golden inputs) or cumulative (the device's own). verdict: one of VERDICTS. detail: why it is
    not equal, in one line. kind: of a crash: crashed, hung, flooded or malformed. lines: the explanation of a
    difference. first: its coordinates. rules: each of them reproduces all outputs of the device; also: what does so as
    well, but is less likely. sha256: digest of the device's outputs. replay: the arguments with which `intref step`
    shows the first mismatch. picture: see `intref.report.picture`; of the first differing cases only.
    """

    id: str
    op: str
    mode: str
    verdict: str
    detail: str = ""
    kind: str = ""
    compared: int = 0
    differing: int = 0
    max_abs: int = 0
    port: str = ""
    first: tuple[int, ...] = ()
    dut: int | None = None
    golden: int | None = None
    rules: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    sha256: str = ""
    required: bool = True
    lines: tuple[str, ...] = ()
    replay: str = ""
    picture: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rule(self) -> str:
        """What reproduces the device, in words; empty if nothing known does."""
        return " or ".join(self.rules[:4])

    @property
    def reason(self) -> str:
        """The detail without the value that was found, which several cases share."""
        return self.detail.rsplit(", not ", 1)[0]

    @property
    def outcome(self) -> str:
        """The verdict, and of a failed call how it failed, in words."""
        return (self.kind or self.verdict).replace("_", " ")


@dataclass(frozen=True, repr=False)
class Report:
    """What judge found. about: what was judged against what, hashes and versions. flips: output -> rows,
    those whose argmax changed, and elements that differ. unmatched: required patterns that name nothing in the
    package. blind: what equal bits on this package do not show. explained: of each op that differs on golden's own
    inputs, OpExplanation.plain()."""

    dut: str
    package: str
    cases: tuple[Case, ...]
    about: dict[str, Any] = field(default_factory=dict)
    flips: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    explained: tuple[Mapping[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"Report({self.dut!r} against {self.package!r}: {len(self.cases)} cases, {self.verdict})"

    @property
    def verdict(self) -> str:
        """equal only if at least one case is required and all of those ran and are equal; differs if any case does."""
        if any(case.verdict == DIFFERS for case in self.cases):
            return DIFFERS
        missing = {case.verdict for case in self.cases if case.required and case.verdict != EQUAL}
        ran = any(case.required and case.verdict == EQUAL and case.compared for case in self.cases)
        return next((v for v in (CRASHED, NOT_RUN, UNSUPPORTED) if v in missing), EQUAL if ran else NOT_RUN)

    @property
    def exit_code(self) -> int:
        """0 equal, 1 something differs, 3 something required did not run."""
        return EXIT_CODES[self.verdict]

    @property
    def outcome(self) -> str:
        """The verdict in words; of failed calls how they failed, where all did so alike."""
        verdict = self.verdict
        found = {case.outcome for case in self.cases if case.required and case.verdict == verdict}
        return found.pop() if len(found) == 1 else verdict.replace("_", " ")

    @property
    def counts(self) -> bool:
        """Whether it says anything among several: a case of it was asked for, or differs."""
        asked = {*self.about.get("required", ())} - {*self.unmatched}
        spared = bool(self.about.get("supported_only") and asked)
        return self.verdict == DIFFERS or spared or any(case.required for case in self.cases)

    @property
    def refusals(self) -> dict[str, int]:
        """Why cases are not supported, as far as the device says (else an empty text) -> how many, most first."""
        return dict(Counter(case.reason for case in self.cases if case.verdict == UNSUPPORTED).most_common())

    @property
    def place(self) -> str:
        """The package as a command takes it: its name in the suite, else where it was read from."""
        name = str(self.about.get("name", ""))
        return name if name.startswith("suite:") else self.package

    def first_divergence(self, mode: str = "cumulative") -> Case | None:
        """The first case of a mode, in the order of the model, that differs."""
        return next((case for case in self.cases if case.mode == mode and case.verdict == DIFFERS), None)

    def told(self, case: Case) -> tuple[str, ...]:
        """What there is to say of one case that is not equal: its explanation and the command that replays it."""
        lines = case.lines or (case.detail or f"{case.id}: {case.outcome}",)
        return (*lines, f"replay: {self.replay(case)}") if case.replay else lines

    def replay(self, case: Case) -> str:
        """The command that shows the arithmetic of a case's first mismatch; empty where there is none."""
        return f"intref step {quote(self.place)} {case.replay}" if case.replay else ""

    def receipt(self) -> dict[str, Any]:
        """Everything that json() says, as plain values, sealed by its own hash: see `intref.report.receipt`."""
        from intref.report.receipt import receipt

        return receipt(self)

    def json(self) -> str:
        """The receipt as canonical JSON: no times and no paths but the device's, so equal runs give equal bytes."""
        return canonical(self.receipt())

    def text(self) -> str:
        """The report for a terminal, lines without colour."""
        from intref.report.summary import text

        return text(self)

    def junit(self) -> str:
        """One test case per case, for a CI server."""
        from intref.report.junit import junit

        return junit([self])
