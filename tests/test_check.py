"""Does golden/check.py, which knows nothing of intref, find what is wrong, and pass what is right?"""

import ast
import hashlib
import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intref.digest import digest, tensor_hash
from intref.golden import write_golden, write_op_golden
from intref.golden.package import case_digest, seal
from intref.intmath import ROUNDS_UP
from intref.ops import OPS
from intref.ops.rescale import RULES
from intref.run import call
from intref.tensorfile import read_integers, write_tensors
from tiny_models import tiny_inputs, tiny_model

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
PROGRAM = tuple(sorted(path.name for path in GOLDEN.glob("*.py")))


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """One package of each kind, never changed."""
    folder = tmp_path_factory.mktemp("golden")
    model = write_golden(tiny_model(), tiny_inputs(), folder / "model", backend="reference")
    return {"model": Path(model), "op": Path(write_op_golden("rescale_token", folder / "op"))}


@pytest.fixture(scope="session")
def checker():
    """The program as a module; what is promised of the command line is asserted of the command line."""
    sys.path.insert(0, str(GOLDEN))
    try:
        yield importlib.import_module("check")
    finally:
        sys.path.remove(str(GOLDEN))


def run(*arguments):
    command = [sys.executable, "-E", "-s", str(GOLDEN / "check.py"), *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


def test_is_it_short_and_without_intref():
    for name in PROGRAM:
        text = GOLDEN.joinpath(name).read_text()
        imports = {a.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Import) for a in n.names}
        froms = {n.module for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)}
        assert (imports | froms) - {name.removesuffix(".py") for name in PROGRAM} <= {
            "numpy",
            "math",
            *sys.stdlib_module_names,
        }
        assert len(text.splitlines()) < 300


def test_does_it_pass_what_is_right_and_compute_all_of_it(packages):
    done = run(packages["model"], packages["op"])
    cases = len(json.loads(packages["op"].joinpath("manifest.json").read_text())["cases"])
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{packages['model']}: 21 tensors hashed, 9/9 nodes recomputed",
        f"{packages['op']}: {7 * cases} tensors hashed, {cases}/{cases} cases recomputed",
    ]


def test_does_it_pass_the_whole_suite():
    done = run(GOLDEN)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert len(lines) >= len(OPS) and not [line for line in lines if "not recomputed" in line]


def test_are_nodes_that_cannot_be_computed_counted_and_named(tmp_path):
    write_golden(tiny_model(), tiny_inputs(), tmp_path / "part", trace="L0.*", backend="reference")
    done = run(tmp_path)
    assert done.returncode == 0 and "3/9 nodes recomputed, not recomputed: clamp embedding linear" in done.stdout


@pytest.mark.parametrize("rule", RULES)
def test_does_it_know_every_rounding_rule(rule, checker):
    x = np.array([*range(-20, 21), 1 << 24, (1 << 24) + 1, (1 << 31) - 1, 1 - (1 << 31)], np.int32)
    scale = 0x3E800000 if rule == "fp32_half_even" else 3
    for shift in [0] if rule == "fp32_half_even" else [2, 3, 31, 33, 40]:
        tensors = {"x": x, "multiplier": np.array([scale], np.int32), "shift": np.array([shift], np.int8)}
        attrs = OPS["rescale"].complete({"rounding": rule, "output": "int64"})
        again = checker.call("rescale", tensors, attrs)["y"]
        assert np.array_equal(again, call("rescale", tensors, attrs)["y"])


def test_does_it_round_wide_products_exactly(checker):
    x = np.array([(1 << 62) - 1, -(1 << 62) + 1, (1 << 61) + 1, -1, 0, 1], np.int64)
    for rule in ROUNDS_UP:
        for shift in (31, 32, 63, 64, 90, 94):
            tensors = {"x": x, "multiplier": np.array([-(1 << 31) + 1], np.int32), "shift": np.array([shift], np.int8)}
            attrs = OPS["rescale"].complete({"rounding": rule, "output": "int64"})
            again = checker.call("rescale", tensors, attrs)["y"]
            assert again.tolist() == call("rescale", tensors, attrs)["y"].tolist()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["model", "op"]), data=st.data())
def test_is_a_flipped_bit_anywhere_noticed(packages, tmp_path, checker, kind, data):
    files = {p.name: p.read_bytes() for p in packages[kind].iterdir()}
    name = data.draw(st.sampled_from(sorted(files)))
    at = data.draw(st.integers(0, len(files[name]) - 1))
    flipped = bytearray(files[name])
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path / "flipped"
    shutil.copytree(packages[kind], folder, dirs_exist_ok=True)
    folder.joinpath(name).write_bytes(flipped)
    assert checker.main([str(folder)]) in (1, 2)


def reseal(folder: Path, change) -> None:
    """Change the tensors by change(tensors), and make every hash of the package agree with them."""
    tensors = {name: value.copy() for name, value in read_integers(folder / "tensors.safetensors")[0].items()}
    change(tensors)
    write_tensors(folder / "tensors.safetensors", tensors, {})
    manifest = json.loads(folder.joinpath("manifest.json").read_text())
    inputs = read_integers(folder / "inputs.safetensors")[0]
    known = {**inputs, **tensors}
    for case in manifest.get("cases", ()):
        case["digest"] = case_digest({k: known[k] for k in [*case["inputs"].values(), *case["outputs"].values()]})
    if manifest["kind"] == "model":
        for name, row in manifest["tensors"].items():
            row["sha256"] = tensor_hash(name, known[name])
        manifest["digest"] = digest({public: known[name] for public, name in manifest["outputs"].items()})
        manifest["trace_digest"] = digest(known)
    data = folder.joinpath("tensors.safetensors").read_bytes()
    manifest["files"]["tensors.safetensors"] = hashlib.sha256(data).hexdigest()
    folder.joinpath("manifest.json").write_bytes(seal(manifest))


def test_is_a_wrong_result_under_right_hashes_found(packages, tmp_path):
    folder = tmp_path / "wrong"
    shutil.copytree(packages["model"], folder)
    right = int(read_integers(folder / "tensors.safetensors")[0]["L0.acc"][1, 2, 3])

    def change(tensors):
        tensors["L0.acc"][1, 2, 3] += 1

    reseal(folder, change)
    done = run(folder)
    said = f"node 2 (at.linear, op linear): tensor 'L0.acc' at [1, 2, 3]: expected {right}, found {right + 1}"
    assert done.returncode == 1 and done.stdout.startswith(f"{folder}: DIFFERS: {said}")


@pytest.mark.parametrize("name", [n for node in tiny_model().nodes for n in node.outputs.values()])
def test_is_a_wrong_result_of_every_node_found(name, packages, tmp_path, checker, capsys):
    folder = tmp_path / "wrong"
    shutil.copytree(packages["model"], folder)
    reseal(folder, lambda tensors: tensors[name].__setitem__((0,) * tensors[name].ndim, 1 - tensors[name].flat[0]))
    assert checker.main([str(folder)]) == 1
    assert f"tensor {name!r} at [0" in capsys.readouterr().out


@pytest.mark.parametrize("op", OPS)
def test_is_a_wrong_case_of_every_op_found(op, tmp_path, checker, capsys):
    shutil.copytree(GOLDEN / "ops" / op, tmp_path / op)
    last = sorted(read_integers(tmp_path / op / "tensors.safetensors")[0])[-1]
    reseal(
        tmp_path / op, lambda tensors: tensors[last].__setitem__((-1,) * tensors[last].ndim, tensors[last].flat[-1] ^ 1)
    )
    assert checker.main([str(tmp_path)]) == 1
    assert f"tensor {last!r} at [" in capsys.readouterr().out


def test_does_an_untouched_package_survive_resealing(packages, tmp_path, checker):
    for kind in packages:
        shutil.copytree(packages[kind], tmp_path / kind)
        before = tmp_path.joinpath(kind, "manifest.json").read_bytes()
        reseal(tmp_path / kind, lambda tensors: None)
        assert tmp_path.joinpath(kind, "manifest.json").read_bytes() == before
    assert checker.main([str(tmp_path)]) == 0


def test_what_is_not_a_package_is_said_in_one_line(tmp_path):
    tmp_path.joinpath("odd").mkdir()
    tmp_path.joinpath("odd", "manifest.json").write_text('{"self": [], "kind": 3}')
    for folder, said in [(tmp_path / "odd", "DIFFERS"), (tmp_path / "absent", "BAD: FileNotFoundError")]:
        done = run(folder)
        assert done.returncode in (1, 2) and done.stderr == "" and len(done.stdout.splitlines()) == 1
        assert said in done.stdout
    assert run().returncode == 2


def test_does_one_bad_package_leave_the_others_checked(packages, tmp_path):
    tmp_path.joinpath("bad").mkdir()
    tmp_path.joinpath("bad", "manifest.json").write_text("{")
    done = run(tmp_path, packages["model"])
    assert done.returncode == 2 and [": BAD: " in line for line in done.stdout.splitlines()] == [True, False]
