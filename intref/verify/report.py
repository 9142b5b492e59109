"""The verdict on a device: per case and as a whole, for a terminal, as a JSON receipt and as JUnit."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

from intref.modelfile import canonical

EQUAL, DIFFERS, UNSUPPORTED, NOT_RUN, CRASHED = "equal", "differs", "unsupported", "not_run", "crashed"
VERDICTS = (EQUAL, DIFFERS, UNSUPPORTED, NOT_RUN, CRASHED)
EXIT_CODES = {EQUAL: 0, DIFFERS: 1, CRASHED: 3, NOT_RUN: 3, UNSUPPORTED: 3}
EXPLAINED = 3  # differing cases of one mode whose explanation the text gives; of the others, a line
LISTED = 10  # cases of one kind that a line names


@dataclass(frozen=True)
class Case:
    """One comparison.

    mode: op, isolated (golden inputs) or cumulative (the device's own). verdict: one of VERDICTS. detail: why it is
    not equal, in one line. kind: of a crash: crashed, hung, flooded or malformed. lines: the explanation of a
    difference. first: its coordinates. rules: each of them reproduces all outputs of the device; also: what does so as
    well, but is less likely. sha256: digest of the device's outputs.
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

    @property
    def rule(self) -> str:
        """What reproduces the device, in words; empty if nothing known does."""
        return " or ".join(self.rules[:4])

    @property
    def outcome(self) -> str:
        """The verdict, and of a failed call how it failed, in words."""
        return (self.kind or self.verdict).replace("_", " ")


@dataclass(frozen=True, repr=False)
class Report:
    """What judge found. about: what was judged against what, hashes and versions. flips: output -> rows,
    those whose argmax changed, and elements that differ. unmatched: required patterns that name nothing in the
    package. blind: what equal bits on this package do not show."""

    dut: str
    package: str
    cases: tuple[Case, ...]
    about: dict[str, Any] = field(default_factory=dict)
    flips: dict[str, dict[str, int]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    unmatched: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()

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

    def first_divergence(self, mode: str = "cumulative") -> Case | None:
        """The first case of a mode, in the order of the model, that differs."""
        return next((case for case in self.cases if case.mode == mode and case.verdict == DIFFERS), None)

    def receipt(self) -> dict[str, Any]:
        """Everything that json() says, as plain values."""
        first = self.first_divergence()
        return {
            **self.about,
            "schema": 1,
            "dut": self.dut,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "counts": {v: sum(case.verdict == v for case in self.cases) for v in VERDICTS},
            "kinds": dict(sorted(Counter(case.kind for case in self.cases if case.kind).items())),
            "first_divergence": first.id if first else None,
            "argmax_flips": self.flips,
            "notes": list(self.notes),
            "unmatched": list(self.unmatched),
            "blind": list(self.blind),
            "cases": [_row(case) for case in self.cases],
        }

    def json(self) -> str:
        """The receipt as canonical JSON: no times and no paths of the machine, so equal runs give equal bytes."""
        return canonical(self.receipt())

    def text(self) -> str:
        """The report for a terminal, lines without colour."""
        lines = [f"{self.dut} against {self.package}"]
        for mode in dict.fromkeys(case.mode for case in self.cases):
            lines += _mode_lines(mode, [case for case in self.cases if case.mode == mode])
        for name, flip in self.flips.items():
            if flip["differing"]:
                rows = f"argmax flips in {flip['flipped']} of {flip['rows']} rows"
                lines.append(f"output {name!r}: {flip['differing']} elements differ, {rows}")
        lines += [f"note: {note}" for note in self.notes]
        lines += _blind_lines(self.blind)
        return "\n".join([*lines, f"verdict: {self._outcome()} (exit code {self.exit_code})"])

    def _outcome(self) -> str:
        """The verdict in words; of failed calls how they failed, where all did so alike."""
        found = {case.outcome for case in self.cases if case.required and case.verdict == self.verdict}
        return found.pop() if len(found) == 1 else self.verdict.replace("_", " ")

    def junit(self) -> str:
        """One test case per case, for a CI server."""
        bad = {CRASHED: "error", DIFFERS: "failure"}
        counts = Counter(case.verdict for case in self.cases)
        suite = ElementTree.Element("testsuite", name="intref", tests=str(len(self.cases)))
        suite.set("failures", str(counts[DIFFERS]))
        suite.set("errors", str(sum(_junit_kind(case, bad) == "error" for case in self.cases)))
        suite.set("skipped", str(sum(_junit_kind(case, bad) == "skipped" for case in self.cases)))
        for case in self.cases:
            row = ElementTree.SubElement(
                suite, "testcase", classname=f"{case.mode}.{case.op}", name=_printable(case.id)
            )
            if kind := _junit_kind(case, bad):
                result = ElementTree.SubElement(row, kind, message=_printable(case.detail or case.verdict))
                result.text = _printable("\n".join(case.lines))
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(suite, encoding="unicode")}\n'


def _junit_kind(case: Case, bad: dict[str, str]) -> str:
    """A required case that did not run is an error: it must not pass for a skip."""
    if case.verdict == EQUAL:
        return ""
    return bad.get(case.verdict, "error" if case.required else "skipped")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


def _row(case: Case) -> dict[str, Any]:
    row: dict[str, Any] = {key: getattr(case, key) for key in ("id", "op", "mode", "verdict", "required")}
    optional = ("detail", "kind", "compared", "differing", "max_abs", "port", "rules", "also", "sha256")
    row.update({key: getattr(case, key) for key in optional if getattr(case, key)})
    if case.verdict == DIFFERS:
        # As text: JSON numbers are exact only below 2**53.
        row["first"] = {"index": list(case.first), "dut": str(case.dut), "golden": str(case.golden)}
    return row


def _mode_lines(mode: str, cases: list[Case]) -> list[str]:
    counts = Counter(case.outcome for case in sorted(cases, key=lambda case: VERDICTS.index(case.verdict)))
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    elements = sum(case.compared for case in cases)
    lines = [f"{mode}: {len(cases)} cases: {words}; {elements} elements compared"]
    different = [case for case in cases if case.verdict == DIFFERS]
    if len(different) > 1 and (common := _common(different)):
        lines.append(f"  {' or '.join(common[:4])} explains 100.000 % of the outputs of all {len(different)}")
    if mode == "cumulative" and different:
        lines.append(
            f"  the difference first shows at {different[0].id}; {len(different)} of {len(cases)} cases differ"
        )
    # Where the device's own errors travel, only the first of them and what explains itself says anything new.
    told = [c for c in different if mode != "cumulative" or c is different[0] or len(c.lines) > 2]
    for case in told[:EXPLAINED]:
        head, *rest = case.lines or (case.detail,)
        lines += [_printable(f"  {head}"), *(_printable(f"    {line}") for line in rest)]
    lines += [_printable(f"  {case.lines[0]}" + (f"; {case.rule}" if case.rule else "")) for case in told[EXPLAINED:]]
    return [*lines, *_others(cases)]


def _common(cases: list[Case]) -> list[str]:
    """What reproduces every one of these cases: that which each names first, else what each allows."""
    for named in ([case.rules for case in cases], [(*case.rules, *case.also) for case in cases]):
        if found := [rule for rule in named[0] if all(rule in rules for rules in named)]:
            return found
    return []


def _blind_lines(blind: tuple[str, ...]) -> list[str]:
    return [f"note: not shown by this package: {'; '.join(blind)}: judge golden/ops too"] if blind else []


def _others(cases: Iterable[Case]) -> list[str]:
    """Cases that did not run, those with one reason in one line."""
    reasons: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.verdict in (CRASHED, NOT_RUN, UNSUPPORTED):
            reasons.setdefault((case.outcome, case.detail), []).append(case)
    return [
        _printable(f"  {word}: {_names(found)}" + (f": {detail}" if detail else ""))
        for (word, detail), found in reasons.items()
    ]


def _names(cases: list[Case]) -> str:
    names = [case.id if case.op in case.id else f"{case.id} ({case.op})" for case in cases[:LISTED]]
    return ", ".join(names) + (f" and {len(cases) - LISTED} more" if len(cases) > LISTED else "")
