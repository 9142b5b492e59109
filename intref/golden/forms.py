"""A golden package in the forms that testbenches read: npz, $readmemh text, C headers."""

import io
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intref.atomic import StrPath, write_directory_atomically
from intref.digest import tensor_hash
from intref.errors import FormatError, SpecError
from intref.golden.package import Arrays, Package
from intref.golden.read import read_golden
from intref.modelfile import canonical
from intref.tensorfile import shown

INDEX = "export.json"
PER_LINE = 16  # numbers on a line of a C header


def export(path: StrPath, out: StrPath, form: str) -> str:
    """Write the tensors of a golden package into a new directory in another form; the path of it.

    form: npz (constants.npz, inputs.npz, tensors.npz), mem (a $readmemh file per tensor: one element a line, two's
    complement, as many hexadecimal digits as its dtype has) or c (a header per group, for C99, in the manner of
    CMSIS-NN's test data). export.json tells which file holds which tensor, its dtype, width, depth and shape.
    SpecError for an unknown form, FormatError if the package is not sound or out cannot be written.
    """
    if form not in FORMS:
        raise SpecError(f"export: form must be one of {', '.join(FORMS)}, not {form!r}")
    package = read_golden(path)
    groups = {"inputs": package.inputs, "tensors": package.tensors}
    if package.model:
        groups["constants"] = package.model.constants
    _check_ours(out)
    with write_directory_atomically(out, INDEX) as folder:
        rows = [row for group in sorted(groups) for row in FORMS[form](folder, group, groups[group])]
        index = {"form": form, "package": package.manifest["self"], "tensors": rows, **_calls(package, form, folder)}
        folder.joinpath(INDEX).write_text(canonical(index) + "\n", "ascii")
    return str(out)


def _check_ours(out: StrPath) -> None:
    folder = Path(out)
    others = {p.name for p in folder.rglob("*") if p.suffix not in (".npz", ".mem", ".h") and p.is_file()} - {INDEX}
    if others:
        raise FormatError(f"{out}: cannot be replaced: expected an earlier export, found also {shown(min(others))}")


def _row(name: str, group: str, file: str, tensor: np.ndarray) -> dict[str, Any]:
    return {
        "name": name,
        "group": group,
        "file": file,
        "dtype": tensor.dtype.name,
        "width": tensor.dtype.itemsize * 8,
        "depth": tensor.size,
        "shape": list(tensor.shape),
        "sha256": tensor_hash(name, tensor),
    }


def _npz(folder: Path, group: str, tensors: Arrays) -> list[dict[str, Any]]:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name in sorted(tensors):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:  # no clock in the bytes
                np.lib.format.write_array(file, np.ascontiguousarray(tensors[name]), allow_pickle=False)
    folder.joinpath(f"{group}.npz").write_bytes(whole.getvalue())
    return [_row(name, group, f"{group}.npz", tensors[name]) for name in sorted(tensors)]


def _mem(folder: Path, group: str, tensors: Arrays) -> list[dict[str, Any]]:
    folder.joinpath(group).mkdir()
    rows = []
    for name, identifier in identifiers(tensors).items():
        tensor, file = tensors[name], f"{group}/{identifier}.mem"
        # Big-endian bytes of an element are its digits from the most significant on.
        digits = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder(">")).tobytes().hex()
        step = tensor.dtype.itemsize * 2
        lines = [digits[i : i + step] + "\n" for i in range(0, len(digits), step)]
        folder.joinpath(file).write_text("".join(lines), "ascii")
        rows.append(_row(name, group, file, tensor))
    return rows


def _c(folder: Path, group: str, tensors: Arrays) -> list[dict[str, Any]]:
    text = ["#pragma once\n#include <stdint.h>\n"]
    rows = []
    for name, identifier in identifiers(tensors).items():
        symbol, tensor = f"{group}_{identifier}", tensors[name]
        text.append(_c_array(symbol, tensor))
        rows.append({**_row(name, group, f"{group}.h", tensor), "symbol": symbol})
    folder.joinpath(f"{group}.h").write_text("\n".join(text), "ascii")
    return rows


def _c_array(symbol: str, tensor: np.ndarray) -> str:
    numbers = [_c_number(v) for v in tensor.ravel().tolist()]
    lines = [", ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    shape = " ".join(map(str, tensor.shape))
    body = ",\n    ".join(lines)
    return (
        f"/* [{shape}] */\n#define {symbol.upper()}_SIZE {tensor.size}\n"
        f"static const {tensor.dtype.name}_t {symbol}[{tensor.size}] = {{\n    {body}}};\n"
    )


def _c_number(value: int) -> str:
    if -(1 << 31) < value < 1 << 31:
        return str(value)
    # C has no negative literals: the lowest value of a type cannot be written as one.
    return f"INT64_C({value})" if value > -(1 << 63) else "INT64_MIN"


def identifiers(names: Iterable[str]) -> dict[str, str]:
    """A C identifier and file name for each tensor: unlike names stay unlike, also where case does not count."""
    table: dict[str, str] = {}
    taken: set[str] = set()
    for name in sorted(names):
        stem = identifier = re.sub(r"[^A-Za-z0-9_]", "_", name)[:150]
        count = 1
        while identifier.lower() in taken:
            count += 1
            identifier = f"{stem}_{count}"
        taken.add(identifier.lower())
        table[name] = identifier
    return table


def _calls(package: Package, form: str, folder: Path) -> Mapping[str, Any]:
    """What an op package says beside its tensors: the attributes of each case, for C as macros as well."""
    if package.kind == "model":
        return {}
    if form == "c":
        lines = [_macro(f"{case.id}_{k}", v) for case in package.cases for k, v in case.attrs.items()]
        folder.joinpath("attributes.h").write_text("".join(["#pragma once\n#include <stdint.h>\n\n", *lines]), "ascii")
    return {"op": package.manifest["op"], "cases": package.manifest["cases"]}


def _macro(name: str, value: int | str) -> str:
    identifier = re.sub(r"[^A-Za-z0-9_]", "_", name).upper()
    return f"#define {identifier} " + (f'"{value}"\n' if isinstance(value, str) else f"({_c_number(value)})\n")


FORMS = {"npz": _npz, "mem": _mem, "c": _c}
