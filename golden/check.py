"""Check golden packages without the program that wrote them: python check.py DIR...

Verifies every hash of each package found under the directories, and computes each of its ops again (recompute.py beside
this file) from the stored inputs of that op. Needs Python and NumPy. Exit 0: all is as it should be; 1: something
differs; 2: not a sound package, or none at all.
"""

import hashlib
import json
import os
import sys
from fnmatch import fnmatchcase

import numpy as np
from recompute import OPS, VERSION, call

DTYPES = {"I8": "<i1", "U8": "<u1", "I16": "<i2", "I32": "<i4", "I64": "<i8"}
FILES = {
    "model": ["SPEC.md", "inputs.safetensors", "model.safetensors", "tensors.safetensors"],
    "op": ["SPEC.md", "inputs.safetensors", "tensors.safetensors"],
}


class Differs(Exception):
    """What was found is not what was expected."""


def expect(place, expected, found):
    if expected != found:
        raise Differs(f"{place}: expected {expected}, found {found}")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read(directory, name):
    path = os.path.join(directory, name)
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device has no end
        raise OSError(f"{path} is no regular file")
    with open(path, "rb") as file:
        return file.read()


def safetensors(directory, name):
    """{tensor: array}, {metadata key: text} of one file."""
    data = read(directory, name)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata, tensors = header.pop("__metadata__", {}), {}
    for tensor, row in header.items():
        begin, end = (start + offset for offset in row["data_offsets"])
        tensors[tensor] = np.frombuffer(data[begin:end], DTYPES[row["dtype"]]).reshape(row["shape"])
    return tensors, metadata


def tensor_hash(name, tensor):
    head = f"{name}\0{tensor.dtype.name}\0{','.join(map(str, tensor.shape))}\0"
    return sha256(head.encode() + tensor.tobytes())


def digest(tensors):
    return sha256(b"".join(bytes.fromhex(tensor_hash(name, tensors[name])) for name in sorted(tensors)))


def unpacked(declared, stored):
    """A constant as it is in memory: int4 comes two to a byte, the even one in the low nibble."""
    if declared["dtype"] != "int8" or declared["bits"] > 4 or not declared["axes"]:
        return stored
    nibbles = np.stack([stored & 15, stored >> 4], -1).reshape(*stored.shape[:-1], -1)[..., : declared["axes"][-1]]
    return ((nibbles ^ 8).astype(np.int8) - 8).astype(np.int8)


def check_files(directory):
    """The manifest, once it and every file beside it have the hashes they should."""
    data = read(directory, "manifest.json")
    manifest = json.loads(data)
    seal = manifest.pop("self")
    expect("manifest.json: self", sha256(canonical(manifest)), seal)
    expect("manifest.json: canonical JSON", True, data == canonical({**manifest, "self": seal}) + b"\n")
    expect("manifest.json: files", FILES[manifest["kind"]], sorted(manifest["files"]))
    for name, expected in manifest["files"].items():
        expect(f"{name}: SHA-256", expected, sha256(read(directory, name)))
    return manifest


def op_calls(manifest, inputs, tensors):
    """(place, op, attrs, {input port: (tensor, array)}, {output port: (tensor, array)}) of each case, once hashed."""
    for case in manifest["cases"]:
        given = {port: (key, inputs[key]) for port, key in case["inputs"].items()}
        made = {port: (key, tensors[key]) for port, key in case["outputs"].items()}
        expect(f"case {case['id']}: digest", case["digest"], digest(dict([*given.values(), *made.values()])))
        yield f"case {case['id']}", manifest["op"], case["attrs"], given, made


def model_calls(manifest, directory, inputs, tensors):
    """The same of each node; a side with a tensor that is not stored is None."""
    stored, metadata = safetensors(directory, "model.safetensors")
    header = json.loads(metadata["intref"])
    constants = {name: unpacked(header["tensors"][name], stored[name]) for name in sorted(stored)}
    expect(
        "model",
        manifest["model"],
        sha256(b"".join([metadata["intref"].encode(), *(c.tobytes() for c in constants.values())])),
    )
    known = {**constants, **inputs, **tensors}
    check_tensors(manifest, header, known, {**inputs, **tensors}.keys(), constants.keys())
    for i, node in enumerate(header["nodes"]):
        sides = [
            {port: (name, known[name]) for port, name in node[side].items()}
            if {*node[side].values()} <= {*known}
            else None
            for side in ("inputs", "outputs")
        ]
        yield f"node {i} ({node['site']}, op {node['op']})", node["op"], node["attrs"], *sides


def check_tensors(manifest, header, known, stored, constants):
    """Every tensor hash, and the digests over them."""
    expect("tensors", sorted(manifest["tensors"]), sorted(stored))
    expect("constants", sorted(manifest["constants"]), sorted(constants))
    for name, row in [*manifest["tensors"].items(), *manifest["constants"].items()]:
        expect(f"tensor {name!r}: sha256", row["sha256"], tensor_hash(name, known[name]))
        expect(f"tensor {name!r}: shape", row["shape"], list(known[name].shape))
        expect(f"tensor {name!r}: dtype", row["dtype"], known[name].dtype.name)
    made = [*header["inputs"], *(name for node in header["nodes"] for name in node["outputs"].values())]
    patterns = ["*"] if manifest["trace"] == "all" else [p.strip() for p in (manifest["trace"] or "").split(",")]
    traced = {name: known[name] for name in made if any(fnmatchcase(name, p) for p in patterns)}
    expect("outputs", header["outputs"], manifest["outputs"])
    expect("digest", manifest["digest"], digest({public: known[name] for public, name in header["outputs"].items()}))
    expect("trace_digest", manifest["trace_digest"], digest(traced))


def check_call(place, op, attrs, given, made):
    """Compute one call again and compare every element."""
    again = call(op, {port: tensor for port, (_, tensor) in given.items()}, attrs)
    for port, (name, stored) in made.items():
        expect(f"{place}: tensor {name!r}: shape", again[port].shape, stored.shape)
        wrong = np.argwhere(again[port] != stored)
        if len(wrong):
            at = tuple(int(i) for i in wrong[0])
            expect(f"{place}: tensor {name!r} at {list(at)}", int(again[port][at]), int(stored[at]))


def check(directory):
    """One line of summary; Differs if a hash or a recomputed element does."""
    manifest = check_files(directory)
    inputs, tensors = (safetensors(directory, f"{name}.safetensors")[0] for name in ("inputs", "tensors"))
    is_op = manifest["kind"] == "op"
    calls = op_calls(manifest, inputs, tensors) if is_op else model_calls(manifest, directory, inputs, tensors)
    total, done, left, wrong = 0, 0, set(), []
    for place, op, attrs, given, made in calls:
        total += 1
        if op not in OPS or manifest["ops"][op] != VERSION or given is None or made is None:
            left.add(op)
            continue
        try:
            check_call(place, op, attrs, given, made)
        except Differs as difference:
            wrong.append(str(difference))
        done += 1
    if wrong:
        raise Differs("; ".join(wrong))
    hashed = len(inputs) + len(tensors) + len(manifest.get("constants", ()))
    rest = f", not recomputed: {' '.join(sorted(left))}" if left else ""
    return f"{hashed} tensors hashed, {done}/{total} {'cases' if is_op else 'nodes'} recomputed{rest}"


def packages(roots):
    for root in roots:
        found = sorted(folder for folder, _, names in os.walk(root) if "manifest.json" in names)
        yield from found or [root]  # reading it will say why it is none


def main(roots):
    code = 0
    for directory in packages(roots):
        try:
            print(f"{directory}: {check(directory)}")
        except Differs as difference:
            print(f"{directory}: DIFFERS: {difference}")
            code = max(code, 1)
        except Exception as error:
            print(f"{directory}: BAD: {type(error).__name__}: {error}".splitlines()[0])
            code = 2
    if not roots:
        print(__doc__.splitlines()[0])
    return code if roots else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
