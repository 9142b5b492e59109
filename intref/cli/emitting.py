"""intref emit: programs written from the definitions of ops."""

from pathlib import Path
from shlex import join, quote

import click

from intref.cli import options
from intref.cli.output import check_place, nearest, print_facts, print_json, print_text, progress
from intref.cli.rtl import testbench
from intref.errors import FormatError, SpecError, Unsupported


@click.group(short_help="Write C of ops, and test benches.")
def emit() -> None:
    """Write programs for other tools from the definitions of ops and from golden packages."""


emit.add_command(testbench)


@emit.command(short_help="Write C99 of ops, or of a model, from their definitions.")
@click.argument("names", metavar="[OP...|MODEL]", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every op, in one file.")
@click.option("-o", "--output", metavar="FILE.c|DIR", help="Default: standard output. The header is written beside it.")
@click.option("--attr", "attrs", multiple=True, metavar="NAME=VALUE", help="Fix an attribute; may be repeated.")
@options.as_json
def c(names: tuple[str, ...], everything: bool, output: str | None, attrs: tuple[str, ...], as_json: bool) -> None:
    """Write one C99 file without dependencies that computes the ops, or a whole MODEL (a .safetensors file).

    The C is made from the op's own body: its formula, its names, every proved range as a comment. It has the
    interface of `so:` devices. Build and judge it:

    \b
        intref emit c linear rescale -o ops.c
        cc -std=c99 -O2 -shared -fPIC -o ops.so ops.c
        intref verify suite:linear suite:rescale --dut so:./ops.so

    An attribute that is fixed (--attr rounding=half_up) leaves less C; other values of it are then not supported.
    """
    from intref.atomic import write_atomically
    from intref.emit import c_header

    place = _place(output)
    chosen, source = _source(names, everything, attrs)
    if place is None:
        print_json({"ops": chosen, "source": source}) if as_json else print_text(source.rstrip("\n"))
        return
    header = place.with_suffix(".h")
    write_atomically(place, source.encode())
    write_atomically(header, c_header().encode())
    facts = {"source": str(place), "header": str(header), "lines": source.count("\n")}
    if as_json:
        print_json({**facts, "ops": chosen})
        return
    print_facts({"ops": len(chosen), **facts}.items())
    library = place.with_suffix(".so").absolute()
    print_text(f"\n{join(['cc', '-std=c99', '-O2', '-shared', '-fPIC', '-o', str(library), str(place)])}")
    packages = " ".join(f"suite:{name}" for name in chosen) if len(chosen) < 5 else "suite:ops"
    print_text(f"intref verify {'PACKAGE' if 'model' in chosen else packages} --dut {quote(f'so:{library}')}")


def _source(names: tuple[str, ...], everything: bool, attrs: tuple[str, ...]) -> tuple[list[str], str]:
    """The ops that the C knows, and the C."""
    from intref.emit import c_model, c_source
    from intref.modelfile import open_model
    from intref.ops import OPS

    if bool(names) == everything:
        raise SpecError("emit c: give the names of ops, a model file, or --all")
    if any(name not in OPS and ("." in name or "/" in name) for name in names):
        if len(names) > 1 or attrs:
            raise SpecError("emit c: a model file stands alone: its attributes are its own")
        model = open_model(names[0])
        with progress() as told:
            return [*sorted({node.op for node in model.nodes}), "model"], c_model(model, told)
    if unknown := [name for name in names if name not in OPS]:
        raise Unsupported(nearest("op", unknown[0], OPS))
    chosen = [*OPS] if everything else [*dict.fromkeys(names)]
    return chosen, c_source(chosen, dict(options.attributes(chosen, attrs)))


def _place(output: str | None) -> Path | None:
    """The file to write: FILE.c as it is, ops.c in a directory."""
    if output is None:
        return None
    place = Path(output)
    if place.suffix != ".c":
        if place.exists() and not place.is_dir():
            raise FormatError(f"{output}: cannot be written: expected a name that ends in .c, or a directory")
        check_place(output)
        place.mkdir(exist_ok=True)
        place = place / "ops.c"
    check_place(str(place))
    return place
