"""What a path holds, as plain values and as tables."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from intref.errors import FormatError
from intref.model import DTYPES, Model, TensorInfo
from intref.profiles import marked

Table = tuple[str, Sequence[str], Iterable[Sequence[object]]]


def described(path: str) -> dict[str, Any]:
    """What there is to say of a checkpoint directory, a model file or a golden package; FormatError if it is none."""
    place = Path(path)
    if not place.exists():
        raise FormatError(f"{path}: expected a checkpoint directory, a model file or a golden package, found nothing")
    if place.is_file():
        return {"path": path, "kind": "model", **_model(path)}
    if (place / "manifest.json").exists():
        return {"path": path, "kind": "golden", **_package(path)}
    if not (place / "config.json").exists():
        kinds = "neither a checkpoint (config.json), a model file nor a golden package (manifest.json)"
        raise FormatError(f"{path}: is {kinds}")
    return {"path": path, "kind": "checkpoint", **_checkpoint(path)}


def _checkpoint(path: str) -> dict[str, Any]:
    from dataclasses import asdict

    from intref import checkpoint

    read = checkpoint.read(path)
    config = {key: value for key, value in asdict(read.config).items() if key != "labels"}
    return {
        "family": read.family,
        "heads": list(read.heads),
        "labels": [*read.config.labels.values()],
        "config": config,
        "tensors": {name: list(value.shape) for name, value in read.weights.items()},
        "parameters": sum(value.size for value in read.weights.values()),
        "ignored": list(read.ignored),
    }


def _model(path: str) -> dict[str, Any]:
    from intref.modelfile import open_model

    return _of_model(open_model(path))


def _of_model(model: Model) -> dict[str, Any]:
    made = [name for node in model.nodes for name in node.outputs.values()]
    return {
        "hash": model.hash,
        "about": model.about,
        "nodes": len(model.nodes),
        "ops": dict(sorted(Counter(node.op for node in model.nodes).items())),
        "constants": _by_bits((model.tensors[n], v.size) for n, v in model.constants.items()),
        "activations": {bits: row["tensors"] for bits, row in _by_bits((model.tensors[n], 0) for n in made).items()},
        "inputs": {n: _declared(model.tensors[n]) | {"default": fill} for n, fill in model.inputs.items()},
        "outputs": {public: _declared(model.tensors[n]) | {"tensor": n} for public, n in model.outputs.items()},
        "dims": model.dims,
    }


def _by_bits(tensors: Iterable[tuple[TensorInfo, int]]) -> dict[str, dict[str, int]]:
    """Bits declared -> tensors, elements."""
    found: dict[str, dict[str, int]] = {}
    for declared, size in sorted(tensors, key=lambda row: row[0].bits):
        row = found.setdefault(f"{'' if declared.signed else 'u'}{declared.bits}", {"tensors": 0, "elements": 0})
        row["tensors"] += 1
        row["elements"] += size
    return found


def _declared(info: TensorInfo) -> dict[str, Any]:
    low, high = info.range
    return {"dtype": info.dtype, "axes": list(info.axes), "low": str(low), "high": str(high)}


def _package(path: str) -> dict[str, Any]:
    from intref.golden import read_golden

    package = read_golden(path)
    keys = ("spec", "generator", "profile", "recipe", "model", "op", "seed", "trace", "digest", "trace_digest", "self")
    found = {key: package.manifest[key] for key in keys if package.manifest.get(key) is not None}
    counts = {"nodes": len(package.model.nodes), "judgeable": len(package.judgeable())} if package.model else {}
    return {
        **found,
        "holds": package.kind,
        **counts,
        "cases": len(package.cases),
        "ops": package.manifest["ops"],
        "inputs": {name: [t.dtype.name, *t.shape] for name, t in package.inputs.items()} if package.model else {},
        "tensors": len(package.tensors),
        "saturation": package.manifest.get("saturation", {}),
        "check": "every hash is right",
    }


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """What `described` found, for people."""
    flat = [(key, value) for key, value in found.items() if not isinstance(value, dict) and value not in (None, [])]
    yield found["path"], ("", ""), [(k, ", ".join(map(str, v)) if isinstance(v, list) else v) for k, v in flat]
    heads = {**HEADS, **({"ops": ("op", "version")} if found["kind"] == "golden" else {})}
    for key, value in found.items():
        if not isinstance(value, dict) or not value:
            continue
        first = next(iter(value.values()))
        if isinstance(first, dict):
            rows = [(name, *(_cell(cell) for cell in row.values())) for name, row in value.items()]
            yield key, (heads[key][0], *first), rows
        else:
            rows = [
                (name, marked(cell) if (key, name) == ("about", "profile") else _cell(cell))
                for name, cell in value.items()
            ]
            yield key, heads[key], rows


def _cell(value: object) -> str:
    if not isinstance(value, list):
        return "-" if value is None else str(value)
    dtype, sizes = (f"{value[0]} ", value[1:]) if value and value[0] in DTYPES else ("", value)
    return f"{dtype}[{', '.join(map(str, sizes))}]"


# What the columns of a part hold; where a row has several values, each says its own name.
HEADS = {
    **{"about": ("what", "is"), "ops": ("op", "nodes"), "constants": ("bits",), "activations": ("bits", "tensors")},
    **{"inputs": ("input", "dtype and shape"), "outputs": ("output",), "dims": ("dimension", "largest size")},
    **{"config": ("setting", "value"), "tensors": ("tensor", "shape"), "saturation": ("tensor",)},
}
