"""intref coverage: which corners of the ops' arithmetic packages reach."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from intref.cli import options
from intref.cli.output import check_place, print_json, print_note, print_table, print_text, progress

if TYPE_CHECKING:
    from intref.coverage import Coverage


@click.command(short_help="Which arithmetic corners vectors reach.")
@click.argument("paths", metavar="[DIR]...", nargs=-1)
@click.option("--merge", multiple=True, metavar="FILE", help="Add what -o wrote earlier; may be repeated.")
@click.option("--missing", is_flag=True, help="List the bins that are not hit.")
@click.option("--unreachable", is_flag=True, help="List the bins that no call can hit, and why.")
@click.option("-o", "--output", metavar="FILE", help="Write the coverage as JSON.")
@click.option("--html", metavar="FILE", help="Write it as one self-contained page.")
@options.as_json
def coverage(
    paths: tuple[str, ...],
    merge: tuple[str, ...],
    missing: bool,
    unreachable: bool,
    output: str | None,
    html: str | None,
    as_json: bool,
) -> None:
    """Measure the arithmetic coverage of golden packages: ties, clips, shifts, accumulators, indices, sizes.

    DIR may be a name of the suite, as in intref verify. Without DIR and --merge: the directed cases of every op.
    A bin is one thing that may happen at one expression of an op's body; the reference runs every call and listens.
    """
    for place in (output, html):
        check_place(place)
    if html is not None:
        from intref.pages import check_installed

        check_installed()
    found = _measured(paths, merge)
    _write(found, output, html)
    if as_json:
        print_json(found.json())
        return
    rows = [
        (op, found.calls(op), found.hit(op), found.total(op), _share(found, op), len(found.unreachable(op)))
        for op in found.ops
    ]
    print_table(("op", "calls>", "hit>", "of>", "%>", "unreachable>"), rows)
    for op in found.ops:
        if missing:
            print_text("\n".join([f"{op}: {name}" for name in found.missing(op)] or [f"{op}: nothing is missing"]))
        if unreachable:
            print_text("\n".join(f"{op}: {name}: {why}" for name, why in found.unreachable(op).items()))
    hit, total = (sum(count(op) for op in found.ops) for count in (found.hit, found.total))
    print_text(f"{hit} of {total} bins that can be hit")


def _share(found: "Coverage", op: str) -> str:
    """Percent, rounded down to tenths, so that 100.0 means all."""
    tenths = 1000 * found.hit(op) // max(found.total(op), 1)
    return f"{tenths // 10}.{tenths % 10}"


def _measured(paths: tuple[str, ...], merge: tuple[str, ...]) -> "Coverage":
    from intref.cli import suite
    from intref.coverage import Coverage, level1, of_package
    from intref.golden import read_golden
    from intref.ops import OPS

    found, places = Coverage(), suite.expanded(paths)
    for path in merge:
        found.merge(Coverage.from_json(_read(path), path))
    with progress() as told:
        for done, path in enumerate(places, 1):
            found.merge(of_package(read_golden(path)))
            told("coverage", done, len(places))
        for done, op in enumerate(OPS if not places and not merge else (), 1):
            found.merge(level1(op))
            told("coverage", done, len(OPS))
    if any(found.refuted(op) for op in found.ops):
        print_note("a bin that is listed as unreachable was hit: that is a bug of intref, please report it")
    return found


def _read(path: str) -> dict[str, Any]:
    from intref.tensorfile import opened, parse_json

    with opened(path) as file:
        data: dict[str, Any] = parse_json(Path(path), file.read(), "coverage")
    return data


def _write(found: "Coverage", output: str | None, html: str | None) -> None:
    from intref.atomic import write_atomically
    from intref.modelfile import canonical

    if output is not None:
        write_atomically(output, (canonical(found.json()) + "\n").encode())
    if html is not None:
        from intref.pages import coverage_page

        write_atomically(html, coverage_page(found.json()).encode())
