"""What commands print: tables, canonical JSON, progress. Standard output holds the answer and nothing else."""

import difflib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Told = Callable[[str, int, int], None]  # what, done, total
QUIET = 15  # seconds between lines of progress in a log


def one_line(text: str) -> str:
    """Text from anywhere as one printable line."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """Text that cannot command a terminal: what is not printable is escaped."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def nearest(word: str, name: str, known: Iterable[str]) -> str:
    """`there is no WORD NAME`, with what was perhaps meant, or all there is where nothing is near."""
    names = [*known]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if not near and len(names) > 40:
        return f"there is no {word} {name!r}; there are {len(names)}, the first is {names[0]}"
    return f"there is no {word} {name!r}; " + (f"near: {', '.join(near)}" if near else f"there are {', '.join(names)}")


def print_json(value: Any) -> None:
    """One line: sorted keys, no spaces."""
    click.echo(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False))


def print_text(text: str) -> None:
    """Lines as they are, but for what a terminal would obey or cannot show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    lines = "\n".join(printable(line) for line in text.split("\n"))
    click.echo(lines.encode(encoding, "backslashreplace").decode(encoding))


def print_note(text: str) -> None:
    """One line beside the answer, on standard error."""
    click.echo(f"note: {one_line(text)}", err=True)


def print_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Names and values in two columns."""
    print_table(("", ""), facts)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table without lines; columns whose name ends in > are set to the right."""
    from rich.table import Table
    from rich.text import Text

    named = any(columns)
    table = Table(box=None, pad_edge=False, show_header=named, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        justify: Literal["left", "right"] = "right" if column.endswith(">") else "left"
        table.add_column(column.rstrip(">"), justify=justify, overflow="fold")  # a long word is told to its end
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    _print_rich(table)


def _print_rich(thing: "RenderableType") -> None:
    console = _console()
    with console.capture() as captured:
        console.print(thing)
    lines = (line.rstrip() for line in captured.get().splitlines())
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    click.echo("\n".join(lines).encode(encoding, "backslashreplace").decode(encoding))


def _console() -> "Console":
    """Colour and folding on a terminal only: what is piped is as wide as it needs to be."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        force_terminal=terminal, width=None if terminal else 4096, markup=False, emoji=False, highlight=False
    )


@contextmanager
def progress() -> Iterator[Told]:
    """told(what, done, total): one bar per `what`, with the time left, on a terminal; in a log a line now and then."""
    if not sys.stderr.isatty():
        yield _logged()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    console = Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(printable(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield told


def _logged() -> Told:
    """A line on standard error every QUIET seconds."""
    last = monotonic()

    def told(what: str, done: int, total: int) -> None:
        nonlocal last
        if monotonic() - last >= QUIET:
            last = monotonic()
            print(f"{printable(what)} {done}/{total}", file=sys.stderr, flush=True)

    return told


def check_place(path: str | None) -> None:
    """FormatError if nothing can be written at a path, found out before the work is done."""
    from intref.errors import FormatError

    folder = Path(path or ".").absolute().parent
    if path is not None and not folder.is_dir():
        raise FormatError(f"{path}: cannot be written: {folder} is not a directory")
    if path is not None and not os.access(folder, os.W_OK):
        raise FormatError(f"{path}: cannot be written: no permission to write in {folder}")
