"""intref gen, sweep: the cases of a level as requests, and devices run over all of them."""

import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import click

from intref.cli import options
from intref.cli.output import Told, check_place, nearest, print_json, print_table, print_text, progress
from intref.errors import FormatError, SpecError, Unsupported

if TYPE_CHECKING:
    from intref.sweep import Sweep, Task
    from intref.vectors.suited import Suit

Item = TypeVar("Item")
SHOWN = 5  # failures of which every line is printed
_level = click.option(
    "--level",
    type=click.IntRange(1, 3),
    help="1 directed cases, 2 and random ones (minutes), 3 and exhaustive ones (hours).",
)
_seed = click.option(
    "--seed", type=click.IntRange(0, (1 << 63) - 1), default=0, show_default=True, help="Of random cases."
)
_count = click.option("--count", type=click.IntRange(min=1), metavar="N", help="The first N cases of each op only.")


@click.command(short_help="Write the cases of an op as requests.")
@click.argument("op")
@_level
@_seed
@_count
@click.option("--form", type=click.Choice(["pipe", "dir"]), help="Request lines, or a golden package.  [default: pipe]")
@click.option(
    "-o", "--output", metavar="OUT", help="A file for lines, a directory for a package; - is standard output."
)
@click.option(
    "--attr", "attrs", multiple=True, metavar="NAME=VALUE", help="The device has this value only; may repeat."
)
@click.option("--dtype", "dtypes", multiple=True, metavar="PORT=DTYPE", help="The device takes this dtype only.")
@click.option("--unit", metavar="FILE.toml", help="An RTL unit: cases for just what its description says.")
@options.as_json
def gen(
    op: str,
    level: int | None,
    seed: int,
    count: int | None,
    form: str | None,
    output: str | None,
    attrs: tuple[str, ...],
    dtypes: tuple[str, ...],
    unit: str | None,
    as_json: bool,
) -> None:
    """Write the cases of OP at a level (default 1), as the request lines of a pipe device or as a golden package.

    Three stages in any shell, the last one knowing what the first one asked:

    \b
        intref gen rescale --level 2 | ./device | intref sweep rescale --level 2 --answers -

    The format of the lines is in SPEC.md, section Devices (intref ops, or any golden package). --form dir writes what
    intref verify judges.

    A device that does a part of OP supports few of its cases; with --attr, --dtype or --unit every case is made over
    into one that it can be asked:

    \b
        intref gen rescale --attr rounding=half_up --attr output=int8 -o mine
        intref verify mine --dut so:./dev.so
    """
    task = _task((op,), 1 if level is None else level, seed, count)
    if attrs or dtypes or unit:
        if form == "pipe" or output in (None, "-"):
            raise click.UsageError("--attr, --dtype and --unit write a golden package: they need -o DIR")
        _write_suited(task, _suit(op, attrs, dtypes, unit), unit, str(output), as_json)
        return
    if output in (None, "-"):
        if form == "dir" or as_json:
            raise click.UsageError(f"{'--form dir' if form == 'dir' else '--json'} needs -o")
        for line in _request_lines(task):
            click.echo(line, nl=False)
        return
    check_place(output)
    _write(task, form or "pipe", str(output))
    facts = {"op": op, "level": task.level, "seed": seed, "cases": task.size(op), "output": output}
    if as_json:
        print_json(facts)
    else:
        print_text(f"{output}: {task.size(op)} cases of {op}, level {task.level}")


def _suit(op: str, attrs: tuple[str, ...], dtypes: tuple[str, ...], unit: str | None) -> "Suit":
    from intref.rtl.description import read_unit
    from intref.vectors.suited import Suit

    given: dict[str, list[Any]] = {}
    for name, value in options.attributes([op], attrs):
        given.setdefault(name, []).append(value)
    taken = dict(text.partition("=")[::2] for text in dtypes)
    if unit is None:
        return Suit(given, taken)
    described = read_unit(unit)
    if described.op.name != op:
        raise SpecError(f"{unit}: expected a unit of op {op}, found one of {described.op.name}")
    codes = {name: [*wire.codes] for name, wire in described.settings.items() if wire.codes}
    ranges = {name: (wire.low, wire.high) for name, wire in described.inputs.items()}
    return Suit({**described.fixed, **codes, **given}, taken, ranges)


def _write_suited(task: "Task", suit: "Suit", unit: str | None, output: str, as_json: bool) -> None:
    """Write the cases of a task that suit a device, as a package; SpecError if there is none."""
    from intref.golden import write_op_golden
    from intref.rtl.description import read_unit
    from intref.vectors import stream
    from intref.vectors.suited import suited

    check_place(output)
    op, described = task.ops[0], read_unit(unit) if unit else None
    with progress() as told:
        numbered = _counted(stream(op, task.level, task.seed, stop=task.size(op)), told, task.size(op))
        cases = suited(op, (case for _, case in numbered), suit)
        made = [c for c in cases if not (described and described.refusal(op, c.tensors, c.attrs))]
    if not made:
        raise SpecError(f"{op}: no case of level {task.level} can be made into one that the device supports")
    write_op_golden(op, output, made)
    facts = {"op": op, "level": task.level, "seed": task.seed, "cases": len(made), "output": output}
    if as_json:
        print_json(facts)
    else:
        print_text(f"{output}: {len(made)} cases of {op}, level {task.level}, for just what the device does")


def _request_lines(task: "Task") -> Iterable[str]:
    from intref.devices import request_lines
    from intref.sweep import requests

    return request_lines(requests(task))


def _write(task: "Task", form: str, output: str) -> None:
    from intref.atomic import write_atomically
    from intref.golden import write_op_golden
    from intref.vectors import stream

    op = task.ops[0]
    with progress() as told:
        if form == "pipe":
            lines = _counted(_request_lines(task), told, task.size(op))
            write_atomically(output, (line.encode() for line in lines))
        else:
            named = _counted(stream(op, task.level, task.seed, stop=task.size(op)), told, task.size(op))
            write_op_golden(op, output, (case for _, case in named))


def _counted(items: Iterable[Item], told: Told, total: int) -> Iterator[Item]:
    """The items, each of them told."""
    for done, item in enumerate(items, 1):
        told("cases", min(done, total), total)
        yield item


@click.command(short_help="Run a device over a whole level of cases.")
@click.argument("ops", metavar="[OP]...", nargs=-1)
@click.option("--dut", metavar="SPEC", help="The device, as for intref verify. Without it: kernels against reference.")
@click.option("--answers", metavar="FILE", help="Judge recorded answer lines to one op; - is standard input.")
@_level
@_seed
@_count
@click.option("--state", metavar="FILE", help="Keep the state here after each chunk; go on from it if it is there.")
@click.option("--max-failures", type=click.IntRange(min=1), default=10, show_default=True, help="Stop at so many.")
@click.option("--failures", metavar="DIR", help="Write the failing cases here, a golden package for each op.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds a call."
)
@click.option("--memory", type=click.IntRange(min=0), metavar="MB", help="As in intref verify.")
@options.as_json
def sweep(
    ops: tuple[str, ...],
    dut: str | None,
    answers: str | None,
    level: int | None,
    seed: int,
    count: int | None,
    state: str | None,
    failures: str | None,
    as_json: bool,
    **how: Any,
) -> int:
    """Run a device over all cases of OPs (default: all) at a level (default 2), against the fast kernels.

    The reference is asked again at every difference and in every chunk. The digest at the end is over all outputs in
    order: the same for any right device, and whether the sweep was interrupted or not.

    Exit codes: 0 all equal, 1 something differs, 2 bad input, 3 something did not run or is not supported.
    """
    from intref.sweep import KERNELS, write_failures

    if answers is not None and (dut or state):
        raise click.UsageError("--answers are already made: neither --dut nor --state goes with them")
    for place in (state, failures):
        check_place(place)
    task = _task(ops, 2 if level is None else level, seed, count, "recorded answers" if answers else dut or KERNELS)
    found = _swept(task, answers, state, **how)
    paths = write_failures(found, failures) if failures and found.failures else []
    if as_json:
        print_json({**found.json(), "complete": found.complete, "exit_code": found.exit_code, "packages": paths})
    else:
        _print(found, paths)
    return found.exit_code


def _swept(
    task: "Task", answers: str | None, state: str | None, max_failures: int, timeout: float, memory: int | None
) -> "Sweep":
    from intref.sweep import judge_answers
    from intref.sweep import sweep as run

    with progress() as told, ExitStack() as open_files:
        if answers is not None:
            return judge_answers(task, _lines(answers, open_files), max_failures, told)
        return run(task, state, max_failures, timeout, None if memory is None else memory << 20, told)


def _lines(path: str, open_files: ExitStack) -> Iterable[bytes]:
    if path == "-":
        return sys.stdin.buffer
    try:
        return open_files.enter_context(open(path, "rb"))
    except OSError as error:
        raise FormatError(f"{path}: cannot be read: {error.strerror}") from None


def _task(ops: tuple[str, ...], level: int, seed: int, count: int | None, dut: str = "") -> "Task":
    from intref.ops import OPS
    from intref.sweep import Task

    for op in ops:
        if op not in OPS:
            raise Unsupported(nearest("op", op, OPS))
    return Task(tuple(dict.fromkeys(ops or OPS)), level, seed, dut, count)


def _print(found: "Sweep", paths: list[str]) -> None:
    wrong = {op: sum(failure.op == op for failure in found.failures) for op in found.ops}
    rows = [(op, t.done, t.elements, t.equal, wrong[op], t.unsupported) for op, t in found.ops.items()]
    print_table(("op", "cases>", "elements>", "equal>", "failed>", "unsupported>"), rows)
    numbers = {id(f): n for op in found.ops for n, f in enumerate(f for f in found.failures if f.op == op)}
    for failure in found.failures[:SHOWN]:
        place = f" (in the package {failure.op}-{numbers[id(failure)]:04d})" if paths else ""
        print_text(f"{failure.id}{place} {failure.kind}: {failure.detail}")
    if len(found.failures) > SHOWN:
        print_text(f"... and {len(found.failures) - SHOWN} more")
    device = shlex.quote(found.task.dut) if ":" in found.task.dut else "SPEC"
    for path in paths:
        print_text(f"replay: intref verify {shlex.quote(path)} --dut {device}")
    if found.failures and not paths:
        print_text("to replay and explain them, sweep again with --failures DIR: it writes them as golden packages")
    words = "all of them" if found.complete else f"stopped at {len(found.failures)} failures"
    print_text(
        f"{found.cases} cases, level {found.task.level}, seed {found.task.seed}, {words} (exit code {found.exit_code})"
    )
    print_text(f"digest {found.digest}")
