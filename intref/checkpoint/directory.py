"""A checkpoint directory as files: config.json, float tensors in one file or in shards, sentence-embedding files."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intref.atomic import StrPath
from intref.errors import FormatError, Unsupported
from intref.tensorfile import TensorFile, open_tensors, read_json, shown

Floats = NDArray[np.float32]

WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "F64": "<f8"}


class Directory:
    """Lazy, checked access to one checkpoint directory; FormatError, one line, for whatever is not as it should be."""

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            found = "a file" if self.path.exists() else "nothing"
            raise FormatError(f"{self.path}: expected a checkpoint directory, found {found}")

    @cached_property
    def config(self) -> dict[str, Any]:
        """The object in config.json."""
        table: dict[str, Any] = read_json(self.path / "config.json")
        return table

    @cached_property
    def files(self) -> dict[str, TensorFile]:
        """The checked file that holds each tensor, by tensor name."""
        if (self.path / WHOLE).exists():
            file = open_tensors(self.path / WHOLE)
            return dict.fromkeys(file.entries, file)
        if (self.path / INDEX).exists():
            return self._shards()
        pickles = sorted(item.name for item in self.path.glob("*.bin"))
        found = f"{pickles[0]} (a pickle is never read)" if pickles else "neither"
        raise FormatError(f"{self.path}: expected {WHOLE} or {INDEX}, found {found}")

    def _shards(self) -> dict[str, TensorFile]:
        index = self.path / INDEX
        places = read_json(index, limit=100_000_000).get("weight_map")
        if not isinstance(places, dict) or not all(_is_plain_name(shard) for shard in places.values()):
            raise FormatError(f"{index}: weight_map: expected tensor names to names of files beside it, found another")
        shards = {name: open_tensors(self.path / name) for name in sorted(set(places.values()))}
        for name, shard in places.items():
            if name not in shards[shard].entries:
                raise FormatError(f"{self.path / shard}: expected the tensor {shown(name)} of {INDEX}, found none")
        return {name: shards[shard] for name, shard in places.items()}

    def tensor(self, name: str, shape: tuple[int, ...]) -> Floats:
        """One finite tensor as float32 [shape]: F32 as stored, F16 and BF16 widened exactly, F64 rounded."""
        file = self.files[name]
        entry, place = file.entries[name], f"{file.path}: tensor {shown(name)}"
        if entry.dtype not in FLOATS:
            raise FormatError(f"{place}: expected dtype {' '.join(FLOATS)}, found {entry.dtype}")
        if entry.shape != shape:
            raise FormatError(f"{place}: expected shape {list(shape)}, found {list(entry.shape)}")
        values = _widened(file.raw(name).view(FLOATS[entry.dtype]), entry.dtype).reshape(shape)
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise FormatError(f"{place}: expected finite weights, found {values[where]} at {list(where)}")
        return values

    @cached_property
    def modules(self) -> list[tuple[str, str]]:
        """The sentence-embedding pipeline of modules.json as (kind, path), [] if the directory describes none."""
        path = self.path / "modules.json"
        if not path.exists():
            return []
        rows = read_json(path, kind=list)
        if not all(isinstance(row, dict) and {str} == {type(row.get(k)) for k in ("type", "path")} for row in rows):
            raise FormatError(f"{path}: expected a list of objects with type and path, found another")
        return [(row["type"].rsplit(".", 1)[-1], row["path"]) for row in rows]

    def sentence(self) -> tuple[bool, bool]:
        """(sentence embedding described, L2-normalised); Unsupported for another pipeline than mean pooling."""
        kinds = [kind for kind, _ in self.modules]
        if kinds and kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            supported = "supported are Transformer, Pooling and then perhaps Normalize"
            raise Unsupported(f"{self.path / 'modules.json'}: modules {shown(kinds)}: {supported}")
        folder = self.modules[1][1] if kinds else "1_Pooling"
        if not _is_plain_name(folder):
            raise FormatError(f"{self.path / 'modules.json'}: expected the name of a folder, found {shown(folder)}")
        pooling = self.path / folder / "config.json"
        if kinds or pooling.exists():
            _check_mean_pooling(pooling)
        return bool(kinds) or pooling.exists(), "Normalize" in kinds


def _widened(stored: NDArray[Any], dtype: str) -> Floats:
    if dtype == "BF16":  # the upper half of a float32
        return (stored.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore"):  # an infinity is reported by name afterwards
        return stored.astype(np.float32, copy=not stored.flags.aligned)


def _check_mean_pooling(path: Path) -> None:
    config = read_json(path)
    modes = {key for key, value in config.items() if key.startswith("pooling_mode_") and value is True}
    if "pooling_mode" in config:  # the newer spelling
        modes = {f"pooling_mode_{config['pooling_mode']}_tokens"}
    if modes != {"pooling_mode_mean_tokens"}:
        raise Unsupported(f"{path}: pooling {shown(sorted(modes))}: supported is the mean over tokens")


def _is_plain_name(name: object) -> bool:
    """A name that cannot lead out of the directory."""
    return isinstance(name, str) and name not in ("", ".", "..") and not set(name) & set("/\\\0")
