"""Reports as text: a screen for the normal outcome, and never a flood. Lines without colour, safe for a terminal."""

from collections import Counter
from collections.abc import Iterable, Sequence

from intref.report.cases import CRASHED, DIFFERS, EQUAL, NOT_RUN, UNSUPPORTED, VERDICTS, Case, Report

EXPLAINED = 3  # differing cases of one mode that are explained; of the others, a line each
ONE_LINERS = 7  # of these, at most
REASONS = 5  # why cases are not supported, the most frequent
LISTED = 10  # cases of one kind that a line names
NOTES = 8
DETAILED = 2  # packages of several that are told whole; of the others, a line each
SEVEREST = (DIFFERS, CRASHED, NOT_RUN, UNSUPPORTED)
MARGINS = {
    "margin_flipped": "of flipped rows at most",
    "margin_survived": "of rows that differ and keep their answer at least",
    "margin_least": "of all rows at least",
}
UNASKED = "without a required case"


def printable(text: str) -> str:
    """Text as one line that commands no terminal and no XML reader: what is not printable is escaped."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(map(printable, lines))


def counted(number: int, thing: str) -> str:
    """`1 case`, `1,234 cases`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def text(report: Report, explained: int = EXPLAINED) -> str:
    """One package's report; explained: see EXPLAINED."""
    lines = [f"{report.dut} against {report.place}", *explained_lines(report)]
    for mode in dict.fromkeys(case.mode for case in report.cases):
        lines += _mode_lines(report, mode, [case for case in report.cases if case.mode == mode], explained)
    lines += [line for name, flip in report.flips.items() if (line := flip_line(name, flip))]
    lines += [f"note: {note}" for note in report.notes[:NOTES]]
    if len(report.notes) > NOTES:
        lines.append(f"note: and {len(report.notes) - NOTES} more notes")
    lines += _blind_lines(report.blind)
    spared = report.about.get("supported_only") and any(case.verdict == UNSUPPORTED for case in report.cases)
    of_what = ", of what the device supports" if spared else ""
    return _joined([*lines, f"verdict: {report.outcome}{of_what} (exit code {report.exit_code})"])


def explained_lines(report: Report) -> list[str]:
    """What explains each op over all its cases together, those first that differ most."""
    found = sorted(report.explained, key=lambda one: -one["differing_cases"])
    lines = [f"{'' if i == 0 else '  '}{line}" for one in found[:EXPLAINED] for i, line in enumerate(one["lines"])]
    lines += [f"{one['sentence']}" for one in found[EXPLAINED : EXPLAINED + ONE_LINERS]]
    if len(found) > EXPLAINED + ONE_LINERS:
        lines.append(f"and {counted(len(found) - EXPLAINED - ONE_LINERS, 'op')} more that differ")
    return lines


def overall_text(reports: Sequence[Report], exit_code: int) -> str:
    """Several packages' reports: a line over those that are equal, then the others, then one line over all."""
    others = [report for verdict in SEVEREST for report in reports if report.verdict == verdict]
    parts = [_equal_lines(reports)]
    parts += [text(report, 1) for report in others[:DETAILED]]
    if len(others) > DETAILED:
        lines = [f"and {counted(len(others) - DETAILED, 'other package')} (judged alone, each is told whole):"]
        parts.append(_joined([*lines, *map(_package_line, others[DETAILED:])]))
    words = Counter(report.outcome if report.counts else UNASKED for report in reports)
    counts = ", ".join(f"{count} {word}" for word, count in words.most_common())
    return "\n\n".join([*filter(None, parts), f"overall: {len(reports)} packages: {counts} (exit code {exit_code})"])


def flip_line(name: str, flip: dict[str, int]) -> str:
    """What a difference does to one output's answers; empty where it has none."""
    if not flip["differing"]:
        return ""
    rows = f"argmax flips in {flip['flipped']} of {flip['rows']} rows"
    margins = [f"{words} {flip[key]}" for key, words in MARGINS.items() if key in flip]
    told = f" (golden's margin, in its integers: {', '.join(margins)})" if margins else ""
    return f"output {name!r}: {flip['differing']} elements differ, {rows}{told}"


def wrong_by_themselves(cases: Sequence[Case]) -> str:
    """All nodes of a model that are wrong on golden inputs, by op; empty if none is."""
    counts = Counter(case.op for case in cases)
    wrong: dict[str, list[Case]] = {}
    for case in cases:
        if case.verdict == DIFFERS:
            wrong.setdefault(case.op, []).append(case)
    names = {op: ", ".join(case.id for case in found[:LISTED]) for op, found in wrong.items()}
    more = {op: f" and {len(found) - LISTED} more" * (len(found) > LISTED) for op, found in wrong.items()}
    told = [f"{op} {len(found)} of {counts[op]} ({names[op]}{more[op]})" for op, found in wrong.items()]
    total = sum(len(found) for found in wrong.values())
    return f"  wrong by themselves: {total} of {len(cases)} nodes: {'; '.join(told)}" if told else ""


def common(cases: Sequence[Case]) -> list[str]:
    """What reproduces every one of these cases: that which each names first, else what each allows."""
    for named in ([case.rules for case in cases], [(*case.rules, *case.also) for case in cases]):
        if named and (found := [rule for rule in named[0] if all(rule in rules for rules in named)]):
            return found
    return []


def _equal_lines(reports: Sequence[Report]) -> str:
    equal = [report for report in reports if report.verdict == EQUAL]
    if not equal:
        return _joined([f"{reports[0].dut} against {len(reports)} packages: none is equal"])
    cases = sum(case.verdict != UNSUPPORTED for report in equal for case in report.cases)
    elements = sum(c.compared for r in equal for c in r.cases)
    names = ", ".join(report.place.removeprefix("suite:") for report in equal)
    sizes = f"{counted(cases, 'case')}, {counted(elements, 'element')}"
    head = [f"{reports[0].dut} against {len(reports)} packages", f"equal: {len(equal)} ({sizes}): {names}"]
    return _joined([*head, *_refused([case for report in equal for case in report.cases])])


def _package_line(report: Report) -> str:
    counts = Counter(case.outcome for case in report.cases)
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    why = "".join(f"; {one['sentence']}" for one in report.explained[:2])
    return f"  {report.place}: {report.outcome}: {counted(len(report.cases), 'case')}: {words}{why}"


def _mode_lines(report: Report, mode: str, cases: list[Case], explained: int) -> list[str]:
    counts = Counter(case.outcome for case in sorted(cases, key=lambda case: VERDICTS.index(case.verdict)))
    words = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    elements = sum(case.compared for case in cases)
    lines = [f"{mode}: {len(cases)} cases: {words}; {elements} elements compared"]
    different = [case for case in cases if case.verdict == DIFFERS]
    if len(different) > 1 and not report.explained and (rules := common(different)):
        lines.append(f"  {' or '.join(rules[:4])} explains 100.000 % of the outputs of all {len(different)}")
    if mode == "isolated" and (words := wrong_by_themselves(cases)):
        lines.append(words)
    if mode == "cumulative" and different:
        lines.append(
            f"  the difference first shows at {different[0].id}; {len(different)} of {len(cases)} cases differ"
        )
    return [*lines, *_different_lines(report, mode, different, explained), *_others(cases), *_few(mode, cases)]


def _few(mode: str, cases: Sequence[Case]) -> list[str]:
    """Where most cases of an op ask for what the device does not do: that this is little, and how to get its own."""
    asked = [case for case in cases if case.verdict != UNSUPPORTED]
    if mode != "op" or not asked or 2 * len(asked) > len(cases):
        return []
    own = f"intref gen {cases[0].op} --attr NAME=VALUE (or --unit UNIT.toml) -o DIR"
    return [f"  only {len(asked)} of {len(cases)} cases ask for what the device does; to make them all over: {own}"]


def _different_lines(report: Report, mode: str, different: list[Case], explained: int) -> list[str]:
    """Where the device's own errors travel, only the first of them and what explains itself says anything new."""
    told = [c for c in different if mode != "cumulative" or c is different[0] or len(c.lines) > 2]
    lines = []
    for case in told[:explained]:
        head, *rest = report.told(case)
        lines += [f"  {head}", *(f"    {line}" for line in rest)]
    most = ONE_LINERS if explained == EXPLAINED else explained
    shortly = told[explained:]
    lines += [f"  {report.told(c)[0]}" + (f"; {c.rule}" if c.rule else "") for c in shortly[:most]]
    if len(shortly) > most:
        lines.append(f"  {len(shortly) - most} more differ: --report FILE.json has them all")
    return lines


def _blind_lines(blind: tuple[str, ...]) -> list[str]:
    return [f"note: not shown by this package: {'; '.join(blind)}: judge golden/ops too"] if blind else []


def _refused(cases: Sequence[Case]) -> list[str]:
    """Why cases are not supported, as far as the device says: the most frequent reasons, with their cases."""
    reasons = Counter(case.reason for case in cases if case.verdict == UNSUPPORTED and case.detail)
    lines = [f"  unsupported: {counted(number, 'case')}: {why}" for why, number in reasons.most_common(REASONS)]
    left = reasons.total() - sum(number for _, number in reasons.most_common(REASONS))
    if left:
        lines.append(f"  unsupported: {counted(left, 'case')} for {counted(len(reasons) - REASONS, 'other reason')}")
    return lines


def _others(cases: Sequence[Case]) -> list[str]:
    """Cases that did not run, those with one reason in one line."""
    reasons: dict[tuple[str, str], list[Case]] = {}
    for case in cases:
        if case.verdict in (CRASHED, NOT_RUN) or (case.verdict == UNSUPPORTED and not case.detail):
            reasons.setdefault((case.outcome, case.detail), []).append(case)
    lines = [
        f"  {word}: {_names(found)}" + (f": {detail}" if detail else "") for (word, detail), found in reasons.items()
    ]
    if (left := len(lines) - LISTED) > 0:
        lines = [*lines[:LISTED], f"  and {counted(left, 'other reason')} of cases that did not run"]
    return [*lines, *_refused(cases)]


def _names(cases: list[Case]) -> str:
    names = [case.id if case.op in case.id else f"{case.id} ({case.op})" for case in cases[:LISTED]]
    return ", ".join(names) + (f" and {len(cases) - LISTED} more" if len(cases) > LISTED else "")
