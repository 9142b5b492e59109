"""The result of a run, as plain values, as tables and as a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from intref.digest import tensor_hash
from intref.errors import SpecError
from intref.model import Model
from intref.run import Arrays, Result, prepare, traced
from intref.tensorfile import write_tensors

Table = tuple[Sequence[str], Iterable[Sequence[object]]]
LISTED = 1024  # elements of an output that JSON holds
SHOWN = 6  # elements that a table shows
LOGITS = "logits"


def described(result: Result, backend: str, as_float: bool) -> dict[str, Any]:
    """Everything a run has to say; integers as they are, as text where a double does not hold them."""
    about = result.model.about
    found: dict[str, Any] = {
        "model": result.model.hash,
        "profile": about.get("profile"),
        "recipe": about.get("recipe"),
        "backend": backend,
        "digest": result.digest,
        "outputs": {name: _tensor(result, name, value, as_float) for name, value in result.outputs.items()},
    }
    if result.trace:
        found["trace"] = {name: _tensor(result, name, value, False) for name, value in result.trace.items()}
        found["trace_digest"] = result.trace_digest
    if LOGITS in result.outputs and result.outputs[LOGITS].ndim == 2:
        found["labels"] = [_label(row, about.get("labels")) for row in result.outputs[LOGITS].tolist()]
    return found


def _tensor(result: Result, name: str, value: np.ndarray, as_float: bool) -> dict[str, Any]:
    row = {
        "dtype": value.dtype.name,
        "shape": list(value.shape),
        "low": str(value.min()),
        "high": str(value.max()),
        "sha256": tensor_hash(name, value),
    }
    real = result.float(name) if as_float else value
    if value.size <= LISTED:
        row["values"] = _plain(real).tolist()
    row["first"] = _plain(real.ravel()[:SHOWN]).tolist()
    return row


def _plain(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype == np.int64 else values


def _label(row: list[int], names: Any) -> dict[str, Any]:
    """The largest logit of a row, and by how much."""
    best = max(range(len(row)), key=lambda i: row[i])
    others = [v for i, v in enumerate(row) if i != best]
    named = names[best] if isinstance(names, list) and best < len(names) else None
    return {"index": best, "label": named, "margin": row[best] - max(others) if others else None}


def tables(found: dict[str, Any]) -> Iterator[Table]:
    """What `described` found, for people."""
    yield ("", ""), [(key, value) for key, value in found.items() if isinstance(value, str)]
    for kind in ("outputs", "trace"):
        rows = [
            (name, t["dtype"], _shape(t["shape"]), t["low"], t["high"], t["sha256"][:16], _first(t))
            for name, t in found.get(kind, {}).items()
        ]
        if rows:
            yield (kind, "dtype", "shape", "low>", "high>", "sha256", "first values"), rows
    if labels := found.get("labels"):
        yield ("row>", "label", "margin>"), [(i, r["label"] or r["index"], r["margin"]) for i, r in enumerate(labels)]


def _shape(shape: list[int]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _first(tensor: dict[str, Any]) -> str:
    values = [f"{v:.6g}" if isinstance(v, float) else str(v) for v in tensor["first"]]
    return " ".join(values) + (" .." if int(np.prod(tensor["shape"])) > SHOWN else "")


def package_bytes(model: Model, inputs: Mapping[str, Any], trace: str | None) -> int:
    """How large the tensors of a golden package will be: constants, inputs, and what the trace asks for."""
    full = prepare(model, inputs)
    sizes = {axis: size for name, value in full.items() for axis, size in zip(model.tensors[name].axes, value.shape)}
    names = {*full, *model.outputs.values(), *traced(model, trace)} - model.constants.keys()
    declared = [model.tensors[name] for name in names]
    shapes = [[sizes.get(axis, 1) if isinstance(axis, str) else axis for axis in info.axes] for info in declared]
    made = sum(prod(shape) * np.dtype(info.dtype).itemsize for shape, info in zip(shapes, declared))
    return made + sum(value.nbytes for value in model.constants.values())


def saved(result: Result, path: str) -> None:
    """Outputs by their public names and the trace by tensor names, with both digests, as a safetensors file."""
    model, outputs = result.model, result.outputs
    for name in outputs.keys() & result.trace.keys():
        if model.outputs[name] != name:
            raise SpecError(f"-o: tensor {name!r} of the trace has the name of another tensor's output")
    tensors: Arrays = {**result.trace, **outputs}
    metadata = {"model": model.hash, "digest": result.digest, "trace_digest": result.trace_digest}
    write_tensors(path, tensors, metadata)
