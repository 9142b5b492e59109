"""A device that reads one file and writes another."""

import json
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

import intref

source, target, how = sys.argv[1:]
if source.endswith(".npz"):
    with np.load(source) as arrays:
        inputs = {name: arrays[name] for name in arrays.files}
    call = json.loads(inputs.pop("__call__").tobytes())
else:
    with safe_open(source, "numpy") as file:
        inputs = {name: file.get_tensor(name) for name in file.keys()}
        call = json.loads(file.metadata()["intref"])
if how == "fails":
    sys.exit("no such register")
if call["op"] not in intref.OPS or how == "unsupported":
    sys.exit(77)
outputs = intref.call(call["op"], inputs, call["attrs"])
if how == "right":
    np.savez(target, **outputs) if target.endswith(".npz") else save_file(outputs, target)
elif how in ("bent", "plain", "vast"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import hostile_npz

    with open(target, "wb") as file:
        file.write(hostile_npz.ARCHIVES[how])
elif how == "garbage":
    with open(target, "wb") as file:
        file.write(b"not a file of tensors")
