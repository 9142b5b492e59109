"""C headers, one for each group of tensors, in the manner of CMSIS-NN's test data."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from intref.golden.forms.index import identifiers, row
from intref.golden.package import Arrays

PER_LINE = 16  # numbers on a line


def c(folder: Path, group: str, tensors: Arrays) -> Iterator[dict[str, Any]]:
    """GROUP.h: a size and a static array for each tensor."""
    text = ["#pragma once\n#include <stdint.h>\n"]
    for name, identifier in identifiers(tensors).items():
        symbol, tensor = f"{group}_{identifier}", tensors[name]
        text.append(_array(symbol, tensor))
        yield {**row(name, group, f"{group}.h", tensor), "symbol": symbol}
    folder.joinpath(f"{group}.h").write_text("\n".join(text), "ascii")


def attributes(folder: Path, cases: Iterable[tuple[str, Mapping[str, int | str]]]) -> None:
    """attributes.h: a macro for each attribute of each case."""
    lines = [_macro(f"{identity}_{k}", v) for identity, attrs in cases for k, v in attrs.items()]
    folder.joinpath("attributes.h").write_text("".join(["#pragma once\n#include <stdint.h>\n\n", *lines]), "ascii")


def whole(folder: Path) -> None:
    """test_data.h: all the others."""
    includes = "".join(f'#include "{path.name}"\n' for path in sorted(folder.glob("*.h")))
    folder.joinpath("test_data.h").write_text(f"#pragma once\n{includes}", "ascii")


def _array(symbol: str, tensor: np.ndarray) -> str:
    numbers = [_number(v) for v in tensor.ravel().tolist()]
    lines = [", ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    shape = " ".join(map(str, tensor.shape))
    body = ",\n    ".join(lines)
    return (
        f"/* [{shape}] */\n#define {symbol.upper()}_SIZE {tensor.size}\n"
        f"static const {tensor.dtype.name}_t {symbol}[{tensor.size}] = {{\n    {body}}};\n"
    )


def _number(value: int) -> str:
    if -(1 << 31) < value < 1 << 31:
        return str(value)
    # C has no negative literals: the lowest value of a type cannot be written as one.
    return f"INT64_C({value})" if value > -(1 << 63) else "INT64_MIN"


def _macro(name: str, value: int | str) -> str:
    identifier = re.sub(r"[^A-Za-z0-9_]", "_", name).upper()
    return f"#define {identifier} " + (f'"{value}"\n' if isinstance(value, str) else f"({_number(value)})\n")
