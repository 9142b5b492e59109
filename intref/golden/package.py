"""What a golden package is, once read: a manifest, tensors, and a model or the cases of one op."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from intref.digest import combined, tensor_hash
from intref.errors import FormatError
from intref.model import EXACT, Model
from intref.modelfile import canonical
from intref.tensorfile import opened

SCHEMA = 1
MANIFEST, MODEL, INPUTS, TENSORS, SPEC = (
    "manifest.json",
    "model.safetensors",
    "inputs.safetensors",
    "tensors.safetensors",
    "SPEC.md",
)
FILES = {"model": (MODEL, INPUTS, TENSORS, SPEC), "op": (INPUTS, TENSORS, SPEC)}  # beside the manifest, by kind
MASK, BATCH, TOKEN = "attention_mask", "B", "T"  # the input and the symbolic axes that say which tokens are real

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class OpCase:
    """One call of one op. inputs, outputs: port -> array. attrs: complete. flags: what the case separates."""

    id: str
    why: str
    flags: tuple[str, ...]
    attrs: dict[str, Any]
    inputs: Arrays
    outputs: Arrays


@dataclass(frozen=True, eq=False)
class Package:
    """A verified golden package.

    kind "model": model; inputs and tensors by tensor name, tensors holding every node output that was traced.
    kind "op": cases; inputs and tensors by "case id/port".
    """

    path: Path
    manifest: dict[str, Any]
    inputs: Arrays
    tensors: Arrays
    model: Model | None = None
    cases: tuple[OpCase, ...] = field(default=())

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @cached_property
    def available(self) -> Arrays:
        """Every tensor whose values are known: constants, inputs and traced ones."""
        return {**(self.model.constants if self.model else {}), **self.inputs, **self.tensors}

    def judgeable(self) -> list[int]:
        """The nodes whose inputs and outputs are all available: each can be judged in isolation."""
        nodes = self.model.nodes if self.model else ()
        known = self.available.keys()
        return [i for i, node in enumerate(nodes) if {*node.inputs.values(), *node.outputs.values()} <= known]

    def valid(self, name: str) -> np.ndarray | None:
        """Where a tensor counts, bool of its shape; None if every element does. FormatError for an unknown tensor."""
        if name not in self.available:
            raise FormatError(f"{self.path}: expected a tensor {name!r}, found none of that name")
        region = (self.manifest.get("valid") or {}).get("tensors", {}).get(name)
        if region is None:
            return None
        return attended(self.inputs[MASK], region, self.available[name].shape)


def masked_axes(model: Model, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """tensor -> {"batch": axis, "tokens": [axes]} for those that run along a batch and along its tokens."""
    if MASK not in model.inputs:
        return {}
    axes = {name: model.tensors[name].axes for name in names}
    return {
        name: {"batch": a.index(BATCH), "tokens": [i for i, axis in enumerate(a) if axis == TOKEN]}
        for name, a in axes.items()
        if BATCH in a and TOKEN in a
    }


def attended(mask: np.ndarray, region: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """bool of the given shape: 1 where every token coordinate is an attended token of its row; mask [B T]."""
    batch, keep = region["batch"], np.ones(shape, bool)
    for token in region["tokens"]:
        laid = [size if axis in (batch, token) else 1 for axis, size in enumerate(shape)]
        keep &= ((mask if batch < token else mask.T) != 0).reshape(laid)
    return keep


def seal(manifest: Mapping[str, Any]) -> bytes:
    """The manifest's bytes: canonical JSON with the hash of all the rest under the key "self", and a newline."""
    return (canonical({**manifest, "self": seal_hash(manifest)}) + "\n").encode()


def seal_hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical({k: v for k, v in manifest.items() if k != "self"}).encode()).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256, in hex, of a file's bytes."""
    with opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def row(name: str, tensor: np.ndarray) -> dict[str, Any]:
    """What the manifest says of one tensor."""
    return {"sha256": tensor_hash(name, tensor), "dtype": tensor.dtype.name, "shape": list(tensor.shape)}


def case_digest(tensors: Mapping[str, np.ndarray]) -> str:
    """The digest of one case: of all its inputs and outputs, by their keys."""
    return combined({key: tensor_hash(key, t) for key, t in tensors.items()})


def plain(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes for JSON: an integer that a double does not hold becomes decimal text."""
    return {k: v if isinstance(v, str) or abs(v) < EXACT else str(v) for k, v in attrs.items()}


def suite_path() -> Path:
    """The conformance suite: inside an installed package, or the repository's golden/."""
    here = Path(__file__).resolve().parent
    for folder in (here / "suite", here.parent.parent / "golden"):
        if folder.joinpath("check.py").is_file():
            return folder
    raise FormatError(f"{here / 'suite'}: expected the conformance suite, found no such directory")
