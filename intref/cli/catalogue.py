"""intref ops, recipe: what there is, and what each of it says."""

from pathlib import Path
from typing import Any

import click

from intref.cli import options
from intref.cli.output import nearest, print_json, print_table, print_text
from intref.errors import Unsupported

with_toml = click.option("--toml", "as_toml", is_flag=True, help="Print the TOML file itself, ready to edit.")


@click.command(short_help="List the ops, or specify one.")
@click.argument("name", required=False)
@options.as_json
def ops(name: str | None, as_json: bool) -> None:
    """List the ops; with NAME: its specification, ports and the bounds of every intermediate."""
    from intref.ops import OPS

    if name is None:
        _list_ops(as_json)
        return
    if name not in OPS:
        raise Unsupported(nearest("op", name, OPS))
    op = OPS[name]
    steps = [(f"%{t.number}", t.text, int(t.value.min()), int(t.value.max())) for t in op.bounds()]
    if as_json:
        bounds = [{"step": step, "text": text, "low": str(low), "high": str(high)} for step, text, low, high in steps]
        print_json({**_described(name), "spec": op.spec, "bounds": bounds})
        return
    print_text(f"{name}, version {op.version}\n\n{op.spec}\n\nBounds of every intermediate, over all that is allowed\n")
    rows = [(step, text, low, high, _bits(low, high)) for step, text, low, high in steps]
    print_table(("", "value", "low>", "high>", "bits>"), rows)


def _list_ops(as_json: bool) -> None:
    from intref.ops import OPS

    if as_json:
        print_json([_described(name) for name in OPS])
        return
    rows = [
        (op.name, op.version, ", ".join(op.inputs), ", ".join(op.outputs), ", ".join(op.attrs)) for op in OPS.values()
    ]
    print_table(("op", "version>", "inputs", "outputs", "attributes"), rows)


def _described(name: str) -> dict[str, Any]:
    from intref.ops import OPS

    op = OPS[name]
    return {
        "op": name,
        "version": op.version,
        "inputs": {port: {"dtype": p.dtype.split(), "axes": p.axes} for port, p in op.inputs.items()},
        "outputs": {port: {"dtype": p.dtype.split(), "axes": p.axes} for port, p in op.outputs.items()},
        "attributes": {a: [*attr.choices] or [str(attr.low), str(attr.high)] for a, attr in op.attrs.items()},
    }


def _bits(low: int, high: int) -> int:
    """Bits of a two's complement register that holds both."""
    return max((-1 - low if low < 0 else low).bit_length(), (-1 - high if high < 0 else high).bit_length()) + 1


@click.group(short_help="List and show the methods.")
def recipe() -> None:
    """The methods that make an integer model of a float one."""


@recipe.command("list")
@options.as_json
def recipe_list(as_json: bool) -> None:
    """List the recipes that come with intref."""
    from intref.quantize.recipe import load_recipe, names

    found = [load_recipe(name) for name in names()]
    if as_json:
        print_json([{"name": r.name, "profile": r.profile, "about": r.about} for r in found])
        return
    rows = [(r.name, r.profile, r.weight_bits, r.activation_bits, r.observer, r.residual_bits) for r in found]
    print_table(("recipe", "profile", "weights>", "activations>", "observer", "residual>"), rows)


@recipe.command("show")
@click.argument("name")
@options.as_json
@with_toml
def recipe_show(name: str, as_json: bool, as_toml: bool) -> None:
    """Show one recipe, by NAME or by the path of its TOML file."""
    from dataclasses import asdict

    from intref.quantize.recipe import RECIPES, load_recipe, names

    check_known("recipe", name, names())
    table = asdict(load_recipe(name))
    if as_toml:
        print_file(RECIPES, name, names())
        return
    if as_json:
        print_json(table)
        return
    print_table(("setting", "value"), table.items())


def print_file(folder: Path, name: str, known: list[str]) -> None:
    """The TOML file as it is, whose path may be given in place of --recipe or --profile."""
    path = folder / f"{name}.toml" if name in known else Path(name)
    print_text(path.read_text(encoding="utf-8").rstrip("\n"))


def check_known(word: str, name: str, known: list[str]) -> None:
    """Unsupported for what is neither a name nor a file; what is written as a path is meant as one."""
    if name in known or Path(name).exists():
        return
    if Path(name).name != name or name.endswith(".toml"):
        raise Unsupported(f"{word} {name!r}: there is no such file")
    raise Unsupported(nearest(word, name, known))
