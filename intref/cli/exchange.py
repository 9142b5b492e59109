"""intref export, import: golden packages as other tools read them, and what those tools made of them."""

from pathlib import Path
from typing import Any

import click

from intref.cli import options
from intref.cli.output import check_place, print_facts, print_json, print_table, print_text, progress

FORMS = ("npz", "mem", "c", "hex", "raw", "onnx")
LISTED = 12
_LAYOUT = (
    click.option("--bits", type=int, metavar="N", help="mem: bits of an element; 4 packs int4. Default: its dtype's."),
    click.option("--lanes", type=int, metavar="N", help="mem: elements in a word. Default: 1."),
    click.option("--width", type=int, metavar="N", help="mem: bits of a word. Default: lanes * bits."),
    click.option("--first", type=click.Choice(["lsb", "msb"]), help="mem: the lane of a word's first element."),
    click.option("--depth", type=int, metavar="N", help="mem: words of the memory, the last ones 0."),
    click.option("--rows", is_flag=True, default=None, help="mem: every row (last axis) starts a word of its own."),
    click.option("--endian", type=click.Choice(["little", "big"]), help="raw: byte order."),
)


def layout(command: Any) -> Any:
    """The options of a file's layout: see intref.golden.forms.words."""
    for option in reversed(_LAYOUT):
        command = option(command)
    return command


@click.command(short_help="Write a package as $readmemh, C, npz, raw, ONNX.")
@click.argument("path", metavar="DIR|suite:NAME")
@click.option("-o", "--output", required=True, metavar="OUT", help="The directory to write.")
@click.option("--form", type=click.Choice(FORMS), required=True, help="What to write.")
@click.option("--tensors", metavar="PATTERN", help="Only tensors of these names, comma separated.")
@layout
@options.as_json
def export(path: str, output: str, form: str, tensors: str | None, as_json: bool, **given: Any) -> int:
    """Write the tensors of a golden package in another form; OUT/export.json says which file holds what.

    mem, hex: a $readmemh file per tensor. c: headers for C99. npz: archives. raw: bytes. onnx: backend test folders
    (model.onnx, test_data_set_0) of standard ops.
    """
    from intref.cli.suite import one
    from intref.golden import export as write

    check_place(output)
    with progress() as told:
        write(one(path), output, form, tensors, told, **_given(given))
    index = _index(output)
    if as_json:
        print_json(index)
        return 0
    print_facts(_facts(output, form, index))
    for row in index.get("not_expressible", ())[:LISTED]:
        print_text(f"not expressible exactly: {row['name']}: {row['reason']}")
    return 0


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _index(output: str) -> dict[str, Any]:
    from intref.tensorfile import read_json

    table: dict[str, Any] = read_json(Path(output) / "export.json", limit=1 << 30)
    return table


def _facts(output: str, form: str, index: dict[str, Any]) -> list[tuple[str, object]]:
    rows = index["tensors"]
    if form == "onnx":
        return [
            ("export", output),
            ("folders", len(index["folders"])),
            ("not expressible", len(index["not_expressible"])),
        ]
    files = {row["file"] for row in rows}
    words = sum(row["depth"] for row in rows)
    return [("export", output), ("form", form), ("tensors", len(rows)), ("files", len(files)), ("words", words)]


class _Imports(click.Group):
    """`import onnx FILE`, else `import FILE...`: a device's results."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asked = args[:1] in (["-h"], ["--help"])
        return super().parse_args(ctx, args if asked or args[:1] == ["onnx"] else ["results", *args])


@click.group("import", cls=_Imports, short_help="Read a device's results back, or a network of ONNX.")
def import_() -> None:
    """Read what others made: results of a device (import FILE... --like DIR), or a network (import onnx FILE)."""


@import_.command("results", short_help="Of a device, to be judged; the word may be left out.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--like", required=True, metavar="DIR", help="The golden package, a name of the suite, or an export.")
@click.option("-o", "--output", required=True, metavar="OUT.npz", help="The recording to write.")
@click.option("--form", type=click.Choice(["mem", "npz", "npy", "raw"]), help="Default: by each file's suffix.")
@layout
@options.as_json
def results(files: tuple[str, ...], like: str, output: str, form: str | None, as_json: bool, **given: Any) -> int:
    """Read results of a device or a simulator into a recording: intref verify DIR --dut file:OUT.npz judges it.

    FILE: an npz archive, a file named after its output as an export names it (linear_0000_y.mem), NAME=FILE, or a
    directory of such. Where --like is an export, its layout holds. A tensor with digits x or z fails when it is judged.

    Exit codes: 0 done, 1 some tensor has digits x or z, 2 bad input.
    """
    from intref.cli.suite import one
    from intref.golden.importing import import_results

    check_place(output)
    found = import_results(files, one(like), output, form, **_given(given))
    if as_json:
        rows = {"imported": found.sources, "unknown": found.unknown, "missing": list(found.missing)}
        print_json({"recording": output, **rows})
        return int(bool(found.unknown))
    print_facts([("recording", output), ("tensors", len(found.tensors)), ("missing", len(found.missing))])
    if found.unknown:
        print_table(("x or z in", "at"), found.unknown.items())
    package = "DIR" if Path(like, "export.json").is_file() else like
    print_text(f"judge them: intref verify {package} --dut file:{output}")
    return int(bool(found.unknown))


@import_.command("onnx", short_help="An integer network, as a model file.")
@click.argument("file")
@click.option("-o", "--output", metavar="FILE", help="The model file to write.")
@click.option("--input", "inputs", multiple=True, metavar="NAME=DTYPE", help="int8, uint8, int16, int32; int8[1,16].")
@click.option("--requant-rounding", type=click.Choice(["half_up", "floor"]), help="Of RequantShift. Default: half_up.")
@click.option("--check", metavar="DIR", help="Run on DIR/inputs.npz, compare with outputs.npz and activations.npz.")
@options.backend
@options.as_json
def onnx(
    file: str,
    output: str | None,
    inputs: tuple[str, ...],
    requant_rounding: str | None,
    check: str | None,
    backend: str,
    as_json: bool,
) -> int:
    """Import a network of integers (Deeploy's, or of ONNX's quantized operators): proved, and run as any model is.

    An input is what --input declares, else as narrow as its array in --check, else what the graph says, else int8.
    With --check and no --requant-rounding, the one that reproduces what was recorded is taken, and named. What a model
    has as bit patterns of float32s may be recorded as float32s. A QuantizeLinear of an input, or a DequantizeLinear
    before an output, is left to the caller and said: the model takes, gives and is checked by the integers there.

    Exit codes: 0 done, 1 something recorded differs, 2 bad input.
    """
    from intref.importing import Check, import_onnx, imported_and_checked
    from intref.model import BOUNDARY

    check_place(output)
    declared = _pairs(inputs)
    if check is None:
        found = Check(import_onnx(file, declared, requant_rounding or "half_up"), ())
    else:
        found = imported_and_checked(file, check, declared, requant_rounding, backend)
    if output is not None:
        found.model.save(output)
    facts = _imported(found, output)
    if as_json:
        rows = [dict(zip(("recorded", "tensor", "elements", "mismatches"), row)) for row in found.rows]
        print_json({**facts, "rows": rows, "unmatched": list(found.unmatched)})
    else:
        lines = facts.pop(BOUNDARY)
        print_facts(facts.items())
        for line in lines:
            print_text(line)
        if wrong := [row for row in found.rows if row[3]]:
            print_table(("recorded", "tensor", "elements>", "differ>"), wrong)
    return int(found.mismatches > 0)


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    from intref.errors import SpecError

    for text in given:
        if "=" not in text:
            raise SpecError(f"--input {text}: expected NAME=DTYPE")
    return dict(text.rsplit("=", 1) for text in given)


def _imported(found: Any, output: str | None) -> dict[str, Any]:
    """What is to be said of an imported network."""
    from intref.model import BOUNDARY

    model = found.model
    inputs = (f"{name} {model.tensors[name].dtype} {[*model.tensors[name].axes]}" for name in model.inputs)
    facts = {
        "model": output or "not written",
        "hash": model.hash,
        "nodes": len(model.nodes),
        "inputs": ", ".join(inputs),
    }
    facts["proved"] = "every intermediate fits int64, every tensor its declared range"
    if found.roundings:
        tried = ", ".join(f"{name} {count}" for name, count in found.roundings.items())
        facts |= {"requant rounding": model.about["requant_rounding"], "mismatches by rounding": tried}
    if found.rows:
        facts |= {"compared": found.compared, "mismatches": found.mismatches, "not found": len(found.unmatched)}
        facts["verdict"] = "differs" if found.mismatches else "equal"
    facts[BOUNDARY] = [*_patterns(model), *model.about.get(BOUNDARY, ())]
    return facts


def _patterns(model: Any) -> list[str]:
    """A line for each input and output that is float32s, as bit patterns."""
    from intref.model import BIT_PATTERNS

    names = model.about.get(BIT_PATTERNS, ())
    words = {name: "input" if name in model.inputs else "output" for name in names}
    return [f"{word} {name}: int32, the bit patterns of float32s" for name, word in words.items()]
