"""Fail if a module is unlisted or imports upward, or if integer-only code can make a float.

    python tools/check_layers.py [ROOT]      exit 1, one line for each broken rule

The rules are in intref/audit_source.py and audit_floats.py. The conformance suite's own programs (golden/*.py) import
nothing of intref.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from intref.audit_source import problems  # noqa: E402 (the path above is what makes it importable)


def suite_problems(golden: Path) -> Iterator[str]:
    """Imports of golden/*.py beyond the standard library, NumPy and one another."""
    own = {path.stem for path in golden.glob("*.py")}
    for path in sorted(golden.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] not in {*sys.stdlib_module_names, "numpy", *own}:
                    yield f"{path}:{node.lineno}: the suite may not import {name}"


def main(root: Path) -> int:
    """Print every problem of a checkout; 1 if there is one."""
    found = [*problems(root / "intref"), *suite_problems(root / "golden")]
    print(*found, sep="\n", end="\n" * bool(found))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
