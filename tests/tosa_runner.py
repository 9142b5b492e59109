"""Runs the TOSA reference model under its own Python: reads jobs, writes what it gives.

    PYTHON tosa_runner.py JOBS.npz ANSWERS.npz

JOBS.npz: `jobs`, a JSON list of {op, dtypes: operand -> TOSA type, shape and dtype of the output, attrs}, and every
operand as NUMBER.OPERAND. All operands but the first one or two are constants of the graph, as in TOSA's own tests.
ANSWERS.npz: NUMBER -> int64 array, absent where the model refused the graph; `version`.
"""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tosa_reference_model
import tosa_serializer as ts

DATA = {"RESCALE": ("x",), "MATMUL": ("a", "b"), "TABLE": ("x",)}
STORED = {"INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT48": np.int64}


def graph(job, operands):
    """A graph of one operator, serialized."""
    serializer = ts.TosaSerializer(tempfile.gettempdir())
    names = []
    for name, value in operands.items():
        dtype = getattr(ts.DType, job["dtypes"][name])
        if name in DATA[job["op"]]:
            serializer.addInputTensor(ts.TosaSerializerTensor(name, list(value.shape), dtype))
            names.append(name)
        else:
            names.append(serializer.addConst(list(value.shape), dtype, value.ravel().tolist()).name)
    output = serializer.addOutput(job["shape"], getattr(ts.DType, job["output"]))
    attributes = ts.TosaSerializerAttribute()
    getattr(
        attributes, {"RESCALE": "RescaleAttribute", "MATMUL": "MatMulAttribute", "TABLE": "TableAttribute"}[job["op"]]
    )(*job["attrs"])
    serializer.addOperator(getattr(ts.Op, job["op"]), names, [output.name], attributes)
    return serializer.serialize()


def answer(job, operands):
    """int64, or None where the model refuses the graph."""
    data = {name: operands[name].astype(STORED[job["dtypes"][name]]) for name in DATA[job["op"]]}
    if "INT48" in (job["output"], *job["dtypes"].values()):  # which the model's Python interface does not pass
        return by_files(graph(job, operands), data)
    try:
        made, status = tosa_reference_model.run(graph(job, operands), [*data.values()])
    except ValueError as error:
        print("refused:", job, error, file=sys.stderr)
        return None
    if status != tosa_reference_model.GraphStatus.TOSA_VALID:
        print("refused:", job, status, file=sys.stderr)
        return None
    return np.frombuffer(made[0].tobytes(), STORED[job["output"]]).astype(np.int64).reshape(job["shape"])


def by_files(serialized, data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.joinpath("graph.tosa").write_bytes(serialized)
        for name, value in data.items():
            np.save(path / f"{name}.npy", np.ascontiguousarray(value))
        command = [Path(sys.executable).with_name("tosa_reference_model"), "--tosa_file=graph.tosa"]
        command += [f"--flatbuffer_dir={folder}", f"--output_dir={folder}", "--ofm_name=result-0", "--ofm_file=y.npy"]
        command += [f"--ifm_name={','.join(data)}", f"--ifm_file={','.join(f'{name}.npy' for name in data)}"]
        done = subprocess.run(command, check=False, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            print("refused:", done.stderr, file=sys.stderr)
            return None
        return np.load(path / "y.npy").astype(np.int64)


def main(jobs_path, answers_path):
    with np.load(jobs_path) as file:
        jobs = json.loads(str(file["jobs"]))
        given = [{name: file[f"{i}.{name}"] for name in job["dtypes"]} for i, job in enumerate(jobs)]
    made = {str(i): answer(job, operands) for i, (job, operands) in enumerate(zip(jobs, given))}
    found = {i: value for i, value in made.items() if value is not None}
    np.savez(answers_path, version=f"tosa-tools {version('tosa-tools')}", **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
