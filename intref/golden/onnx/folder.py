"""Golden packages as ONNX backend test folders: model.onnx, test_data_set_0/input_0.pb, output_0.pb, ..."""

from collections.abc import Callable, Container, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from intref.errors import Unsupported
from intref.golden.forms.index import identifiers
from intref.golden.onnx.graph import tensor_proto
from intref.golden.onnx.lower import Lowered, lower_call, lower_model
from intref.golden.package import Arrays, OpCase, Package


def folders(folder: Path, package: Package, wanted: Container[str]) -> Iterator[dict[str, Any]]:
    """Write a folder for each case of an op, or one for a model; a row of the index for each, or why there is none.

    wanted: the names of tensors that are asked for: a case by any of its outputs, an inner tensor of a model by itself.
    """
    if package.model is not None:
        yield _written("model", partial(_model, folder, package, wanted))
        return
    named = identifiers(case.id for case in package.cases)
    for case in package.cases:
        if any(f"{case.id}/{port}" in wanted for port in case.outputs):
            yield _written(case.id, partial(_case, folder, named[case.id], package.manifest["op"], case))


def _written(name: str, write: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"name": name, **write()}
    except Unsupported as error:
        return {"name": name, "reason": str(error)}


def _case(folder: Path, name: str, op_name: str, case: OpCase) -> dict[str, Any]:
    lowered = lower_call(op_name, case.inputs, case.attrs, f"{case.id}: {case.why}")
    return _write(folder, name, lowered, case.inputs, case.outputs)


def _model(folder: Path, package: Package, wanted: Container[str]) -> dict[str, Any]:
    assert package.model is not None
    taps = [name for name in package.tensors if name in wanted]
    lowered = lower_model(package.model, package.inputs, taps, f"model {package.manifest['model']}")
    public = {name: package.available[tensor] for name, tensor in package.model.outputs.items()}
    return _write(folder, "model", lowered, package.inputs, {**package.tensors, **public})


def _write(folder: Path, name: str, lowered: Lowered, inputs: Arrays, outputs: Arrays) -> dict[str, Any]:
    data = folder / name / "test_data_set_0"
    data.mkdir(parents=True)
    data.parent.joinpath("model.onnx").write_bytes(lowered.model.SerializeToString(deterministic=True))
    for kind, names, arrays in (("input", lowered.inputs, inputs), ("output", lowered.outputs, outputs)):
        for i, tensor in enumerate(names):
            proto = tensor_proto(tensor, arrays[tensor])
            data.joinpath(f"{kind}_{i}.pb").write_bytes(proto.SerializeToString(deterministic=True))
    return {
        "folder": name,
        "inputs": list(lowered.inputs),
        "outputs": list(lowered.outputs),
        "operators": list(lowered.kinds),
    }
