"""Options that several commands share."""

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import Any, TypeVar

import click

from intref.errors import SpecError

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Canonical JSON on standard output.")


def best_backend() -> str:
    """The fast one where numba is installed."""
    return "fast" if find_spec("numba") else "reference"


backend = click.option(
    "--backend",
    type=click.Choice(["fast", "reference"]),
    default=best_backend,
    show_default="fast; reference without numba",
    help="The same bits.",
)

_INPUTS = (
    click.option(
        "--ids", multiple=True, metavar="1,2,3", help="Token ids of one sequence, for input_ids; may be repeated."
    ),
    click.option(
        "--inputs",
        metavar="FILE",
        help="Arrays by the names of the model's inputs: .safetensors, .npz (float32s where an input is their bits). "
        "A sequence a line: .jsonl, .txt.",
    ),
    click.option("--text", multiple=True, help="One sequence as text; may be repeated. Needs --tokenizer."),
    click.option(
        "--tokenizer", metavar="PATH", help="To encode text with: tokenizer.json, or the checkpoint's directory."
    ),
)


def inputs(command: Command) -> Command:
    """--ids, --inputs, --text and --tokenizer: see `intref.cli.inputs.read_inputs`."""
    for option in reversed(_INPUTS):
        command = option(command)
    return command


def attributes(ops: Sequence[str], given: Iterable[str]) -> list[tuple[str, Any]]:
    """NAME=VALUE as values of the ops' attributes: a choice by its name, anything else a decimal integer."""
    from intref.ops import OPS

    found = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise SpecError(f"--attr {text}: expected NAME=VALUE")
        choices = any(OPS[op].attrs[name].choices for op in ops if name in OPS[op].attrs)
        digits = value.removeprefix("-")
        found.append((name, int(value) if digits.isascii() and digits.isdigit() and not choices else value))
    return found
