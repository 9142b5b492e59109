"""Builders of small checkpoints and of files that lie: every reader in intref must meet the latter with one line."""

import json
from pathlib import Path

import numpy as np


def safetensors_bytes(header, data: bytes = b"", length: int | None = None) -> bytes:
    """A file of the safetensors layout with any header (an object, or the bytes themselves) and any claimed length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def row(dtype="I8", shape=(4,), begin=0, end=4) -> dict:
    """A header's row of one tensor; the default is four int8 at the start of the data."""
    return {"dtype": dtype, "shape": list(shape) if isinstance(shape, tuple) else shape, "data_offsets": [begin, end]}


def _one(**changes) -> bytes:
    return safetensors_bytes({"t": row(**changes)}, b"\0" * 4)


def _two(first: dict, second: dict, size: int) -> bytes:
    return safetensors_bytes({"a": first, "b": second}, b"\0" * size)


GOOD = _one()

# Why it is refused -> (bytes of the file, what the message says of it).
HOSTILE = {
    "empty": (b"", "at least 8 bytes, found 0 bytes"),
    "shorter than the length": (b"1234567", "at least 8 bytes, found 7 bytes"),
    "header longer than the file": (safetensors_bytes(b"{}", length=3), "expected 3 bytes, found 2"),
    "header beyond the limit": (safetensors_bytes(b"{}", length=100_000_001), "at most 100000000 bytes"),
    "a length of all ones": (b"\xff" * 8, "at most 100000000 bytes"),
    "a pickle": (b"\x80\x02}q\x00X\x05\x00\x00\x00", "not a safetensors file?"),
    "nested lists": (safetensors_bytes(b"[" * 100_000), "nested at most 3 deep"),
    "nested objects": (safetensors_bytes(b'{"a":' * 100_000), "nested at most 3 deep"),
    "nesting behind an escaped quote": (safetensors_bytes(b'{"\\"[":' * 100_000), "nested at most 3 deep"),
    "a million brackets": (safetensors_bytes(b"[" + b"[]," * 3_000_000), "JSON lists and objects"),
    "not JSON": (safetensors_bytes(b"{tensors}"), "header: expected JSON"),
    "an unclosed string": (safetensors_bytes(b'{"' + b"[" * 1000), "header: expected JSON"),
    "not UTF-8": (safetensors_bytes(b'{"\xff":1}'), "header: expected JSON"),
    "half a surrogate pair": (safetensors_bytes(b'{"\\ud800":1}'), "header: expected JSON"),
    "an endless integer": (safetensors_bytes(b'{"a":' + b"9" * 5000 + b"}"), "header: expected JSON"),
    "NaN": (safetensors_bytes(b'{"a":NaN}'), "found the number NaN"),
    "a list": (safetensors_bytes(b"[]"), "expected a JSON dict, found a JSON list"),
    "a number": (safetensors_bytes(b"7"), "expected a JSON dict, found a JSON int"),
    "a tensor twice": (safetensors_bytes(b'{"t":{},"t":{}}'), "found the key 't' twice"),
    "a field twice": (safetensors_bytes(b'{"t":{"dtype":"I8","dtype":"I8"}}'), "found the key 'dtype' twice"),
    "metadata that is no object": (safetensors_bytes({"__metadata__": []}), "expected an object of strings"),
    "metadata that is no string": (safetensors_bytes({"__metadata__": {"k": 1}}), "'k': expected a string, found 1"),
    "a row that is no object": (safetensors_bytes({"t": 3}), "'t': expected an object of dtype"),
    "a row without a shape": (safetensors_bytes({"t": {"dtype": "I8"}}), "'t': expected an object of dtype"),
    "an unknown dtype": (_one(dtype="I7"), "'t': expected a dtype of"),
    "a dtype that is no string": (_one(dtype=["I8"]), "'t': expected a dtype of"),
    "a negative size": (_one(shape=(-4,)), "sizes >= 0, found [-4]"),
    "a fractional size": (_one(shape=(4.0,)), "sizes >= 0, found [4.0]"),
    "a boolean size": (_one(shape=(4, True)), "sizes >= 0, found [4, True]"),
    "a shape that is no list": (_one(shape="4"), "sizes >= 0, found '4'"),
    "too many axes": (_one(shape=(1,) * 9), "at most 8 sizes"),
    "a huge shape": (_one(shape=(1 << 62, 4)), "at most 140737488355328 elements"),
    "a huge shape excused by a zero": (_one(shape=(0, 1 << 62), end=0), "at most 140737488355328 elements"),
    "negative offsets": (_one(begin=-4, end=0), "0 <= begin <= end, found [-4, 0]"),
    "offsets reversed": (_one(begin=4, end=0), "0 <= begin <= end, found [4, 0]"),
    "offsets of another size": (_one(shape=(5,)), "expected 5 bytes for I8 [5], found 4"),
    "offsets of another dtype": (_one(dtype="I32"), "expected 16 bytes for I32 [4], found 4"),
    "half a byte": (_one(dtype="F4", shape=(3,), end=1), "expected 2 bytes for F4 [3], found 1"),
    "data cut short": (safetensors_bytes({"t": row()}, b"\0" * 3), "end within 3 bytes of data, found end 4"),
    "data beyond the tensors": (safetensors_bytes({"t": row()}, b"\0" * 5), "the sum of the tensors, found 5"),
    "a hole at the start": (safetensors_bytes({"t": row(begin=1, end=5)}, b"\0" * 5), "leaves a hole"),
    "a hole between": (_two(row(), row(begin=5, end=9), 9), "'b': expected begin 4, found begin 5 (leaves a hole)"),
    "an overlap": (_two(row(), row(begin=3, end=7), 7), "'b': expected begin 4, found begin 3 (overlaps"),
    "the same bytes twice": (_two(row(), row(), 4), "'b': expected begin 4, found begin 0 (overlaps"),
}

CONFIG = {
    "model_type": "bert",
    "vocab_size": 11,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 10,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
    "pad_token_id": 0,
}
LAYER = {
    "attention.self.query": (8, 8),
    "attention.self.key": (8, 8),
    "attention.self.value": (8, 8),
    "attention.output.dense": (8, 8),
    "attention.output.LayerNorm": (8,),
    "intermediate.dense": (12, 8),
    "output.dense": (8, 12),
    "output.LayerNorm": (8,),
}
POOLER = {"pooler.dense.weight": (8, 8), "pooler.dense.bias": (8,)}
CLASSIFIER = {**POOLER, "classifier.weight": (3, 8), "classifier.bias": (3,)}


def encoder_shapes() -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors of the bare encoder that CONFIG describes."""
    shapes = {
        "embeddings.word_embeddings.weight": (11, 8),
        "embeddings.position_embeddings.weight": (10, 8),
        "embeddings.token_type_embeddings.weight": (2, 8),
        "embeddings.LayerNorm.weight": (8,),
        "embeddings.LayerNorm.bias": (8,),
    }
    for i in range(2):
        for name, shape in LAYER.items():
            shapes[f"encoder.layer.{i}.{name}.weight"] = shape
            shapes[f"encoder.layer.{i}.{name}.bias"] = shape[:1]
    return shapes


def encoder_tensors(extra: dict[str, tuple[int, ...]] = POOLER, seed: int = 0) -> dict[str, np.ndarray]:
    """Random float32 tensors of the encoder and of the extra shapes."""
    draw = np.random.default_rng(seed)
    shapes = {**encoder_shapes(), **extra}
    return {name: draw.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def stored_bytes(tensors: dict[str, np.ndarray], dtypes: dict[str, str] | None = None) -> bytes:
    """A safetensors file of any arrays; dtypes overrides the code of some, as for BF16 held in uint16."""
    codes = {"float32": "F32", "float16": "F16", "float64": "F64", "int64": "I64", "int8": "I8"}
    header, offset = {}, 0
    for name, array in tensors.items():
        code = (dtypes or {}).get(name) or codes[array.dtype.name]
        header[name] = row(code, array.shape, offset, offset + array.nbytes)
        offset += array.nbytes
    return safetensors_bytes(header, b"".join(array.tobytes() for array in tensors.values()))


def write_checkpoint(directory: Path, tensors: dict[str, np.ndarray] | None = None, **config) -> Path:
    """A tiny BERT checkpoint of CONFIG with changes (None removes a key) and of the given or random tensors."""
    directory.mkdir(exist_ok=True)
    table = {key: value for key, value in {**CONFIG, **config}.items() if value is not None}
    (directory / "config.json").write_text(json.dumps(table))
    (directory / "model.safetensors").write_bytes(stored_bytes(encoder_tensors() if tensors is None else tensors))
    return directory


def write_modules(directory: Path, kinds: tuple[str, ...], pooling: dict, folder: str = "1_Pooling") -> Path:
    """Beside a checkpoint, the files by which sentence-transformers describes its pipeline."""
    rows = [{"idx": i, "name": str(i), "path": folder if i == 1 else "", "type": f"x.{k}"} for i, k in enumerate(kinds)]
    (directory / "modules.json").write_text(json.dumps(rows))
    (directory / "1_Pooling").mkdir(exist_ok=True)
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return directory
