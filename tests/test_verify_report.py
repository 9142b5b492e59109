"""Verdicts on models: independently wrong ops, where the difference first shows, what is required, and the receipts."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from intref.devices import Device, DeviceError
from intref.errors import FormatError
from intref.golden import read_golden
from intref.modelfile import pack_int4
from intref.run import call
from intref.verify import Case, Report, judge, node_ids
from intref.verify.tapmap import Tap, read_map
from tiny_models import tiny_model
from verify_packages import py, write_tiny


class InProcess(Device):
    """A function as a device, without a child."""

    def __init__(self, function):
        self.function, self.asked = function, []

    def call(self, request):
        self.asked.append(request.id)
        return self.function(request)


def reference(request):
    return None if request.op == "model" else call(request.op, request.inputs, request.attrs)


def off_by_one(*ops):
    """Right but for one bit of some ops."""

    def function(request):
        made = reference(request)
        if request.op in ops:
            next(iter(made.values())).flat[0] ^= 1 << 18
        return made

    return InProcess(function)


def by_mode(report, mode):
    return {case.id: case.verdict for case in report.cases if case.mode == mode}


def test_are_all_independently_wrong_ops_listed_beside_the_first_divergence(tiny):
    report = judge(tiny, off_by_one("embedding", "matmul"))
    isolated = by_mode(report, "isolated")
    assert [i for i, verdict in isolated.items() if verdict == "differs"] == ["at.embedding", "at.matmul"]
    assert report.first_divergence().id == "at.embedding"
    assert sum(v == "differs" for v in by_mode(report, "cumulative").values()) > 2
    assert "the difference first shows at at.embedding" in report.text()
    assert "profile by-hand, op embedding" in report.text()


def test_is_a_right_device_asked_only_once_for_both_modes(tiny):
    device = InProcess(reference)
    assert judge(tiny, device).verdict == "equal"
    assert sorted(device.asked) == sorted([*node_ids(tiny_model()), "model"])


def test_does_an_unsupported_node_run_on_the_reference_and_say_so(tiny):
    report = judge(tiny, py("right", "some"))
    assert (report.verdict, report.exit_code) == ("unsupported", 3)
    chained = by_mode(report, "cumulative")
    assert chained.pop("at.transpose") == "not_run" and set(chained.values()) == {"equal"}
    assert "unsupported: at.transpose" in report.text() and "ran on the reference" in report.text()


@pytest.mark.parametrize("require", ["linear,at.matmul", ["at.[lm]*"], "rescale*"])
def test_are_only_required_cases_required(tiny, require):
    assert judge(tiny, py("right", "some"), require=require).exit_code == 0


def test_is_a_required_case_that_did_not_run_not_a_pass(tiny):
    assert judge(tiny, py("right", "some"), require="transpose").exit_code == 3
    assert judge(tiny, off_by_one("linear"), require="transpose").exit_code == 1


def test_does_a_crash_inside_a_model_cost_its_node_only(tiny):
    def function(request):
        if request.op == "matmul":
            raise DeviceError("crashed", "bus error")
        return reference(request)

    report = judge(tiny, InProcess(function))
    assert report.verdict == "crashed"
    assert by_mode(report, "isolated").pop("at.matmul") == "crashed"
    assert [c.id for c in report.cases if c.verdict == "crashed"] == ["at.matmul"]


def test_is_a_chain_explained_where_its_inputs_are_still_right(tiny):
    report = judge(tiny, py("right", "half_away"), mode="cumulative")
    wrong = [c for c in report.cases if c.verdict == "differs"]
    assert all("rule half_away" in c.rules for c in wrong if c.op == "rescale")


def test_are_nodes_that_were_not_traced_counted_as_such(tmp_path):
    package = write_tiny(tmp_path / "part", "h,q,mantissa,exponent")
    report = judge(package, py("right", "ops"), mode="isolated")
    assert report.verdict == "equal" and len(by_mode(report, "isolated")) == 2
    assert "nodes cannot be judged by themselves: not in the trace" in report.text()
    assert judge(package, py("right", "ops")).verdict == "equal"


def test_is_nothing_compared_not_a_pass():
    assert (Report("d", "p", ()).verdict, Report("d", "p", ()).exit_code) == ("not_run", 3)
    assert Report("d", "p", (Case("a", "clamp", "op", "equal"),)).exit_code == 3
    assert Report("d", "p", (Case("a", "clamp", "op", "equal", compared=1),)).exit_code == 0


def test_are_argmax_flips_counted(tiny):
    def function(request):
        made = reference(request)
        if request.op == "clamp":
            made["y"] = -made["y"]
        return made

    report = judge(tiny, InProcess(function))
    golden = read_golden(tiny).tensors["clipped"]
    flipped = int((golden.argmax(-1) != (-golden).argmax(-1)).sum())
    differing = int((golden != -golden).sum())
    counts = {"rows": len(golden), "flipped": flipped, "differing": differing}
    assert report.flips["pooled"].items() >= counts.items() and flipped
    text = f"output 'pooled': {differing} elements differ, argmax flips in {flipped} of {len(golden)} rows"
    assert text in report.text()


def test_is_the_receipt_canonical_and_whole(rescale, tmp_path):
    first, second = (judge(rescale, py("right", "half_away")).json() for _ in range(2))
    assert first == second
    receipt = json.loads(first)
    assert json.dumps(receipt, sort_keys=True, separators=(",", ":")) == first
    assert receipt["package"] == read_golden(rescale).manifest["self"]
    assert receipt["counts"] == {"equal": 2, "differs": 1, "unsupported": 0, "not_run": 0, "crashed": 0}
    assert (receipt["verdict"], receipt["exit_code"], len(receipt["dut_sha256"])) == ("differs", 1, 64)
    row = receipt["cases"][1]
    assert (row["rules"], row["compared"], row["differing"]) == (["rule half_away"], 32, 16)
    assert row["first"] == {"index": [1], "dut": "-15", "golden": "-14"}
    assert str(tmp_path.parent) not in json.dumps(receipt["cases"])


def test_is_junit_what_a_server_reads(rescale):
    report = judge(rescale, py("broken", "killed_once"))
    root = ElementTree.fromstring(report.junit())
    (suite,) = root
    assert root.attrib == {"name": "intref", "tests": "3", "failures": "0", "errors": "1"}
    assert suite.attrib == {"name": str(rescale), "tests": "3", "failures": "0", "errors": "1", "skipped": "0"}
    error = suite.findall("testcase")[1].find("error")
    assert error.get("message").startswith("killed by signal 11") and error.get("type") == "crashed"
    wrong = ElementTree.fromstring(judge(rescale, py("right", "half_away")).junit())
    assert "rule half_away explains" in wrong[0].findall("testcase")[1].find("failure").text


def test_are_a_device_s_words_harmless_in_text_and_xml():
    case = Case("a", "clamp", "op", "crashed", "\x1b[31mred\x00", "crashed")
    report = Report("d", "p", (case,))
    assert "\x1b" not in report.text() and "\\x1b[31mred" in report.text()
    ElementTree.fromstring(report.junit())


def test_is_progress_told(rescale):
    told = []
    judge(rescale, py("right", "ops"), progress=lambda done, total, case: told.append((done, total, case)))
    assert told == [(1, 3, "rescale-0000"), (2, 3, "rescale-0001"), (3, 3, "rescale-0002")]


MAP = """
[tensors."L0.y"]
name = "layer0"
transpose = [2, 0, 1]
[tensors.scores]
name = "attention"
[groups]
ffn = ["at.linear", "at.rescale_token"]
"""


def test_does_a_map_translate_names_and_layouts(tiny, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)
    model = tiny_model()

    def function(request):
        if request.op != "model":
            return None
        result = model.run(request.inputs, "reference", "all")
        y = np.ascontiguousarray(result.trace["L0.y"].transpose(1, 2, 0))
        return {"attention": result.outputs["scores"], "pooled": result.outputs["pooled"], "layer0": y}

    assert judge(tiny, InProcess(function), mode="cumulative", map=tmp_path / "map.toml").verdict == "equal"
    assert judge(tiny, InProcess(function), mode="cumulative").verdict == "crashed"


def test_is_a_fused_group_judged_only_at_its_end(tiny, tmp_path):
    (tmp_path / "map.toml").write_text(MAP)

    def fused(offset):
        """linear leaves one too much; rescale_token takes offset away."""

        def function(request):
            if request.op == "rescale_token":
                request = replace(request, inputs={**request.inputs, "x": request.inputs["x"] - offset})
            made = reference(request)
            if request.op == "linear":
                made["y"] = made["y"] + 1
            return made

        return InProcess(function)

    report = judge(tiny, fused(1), map=tmp_path / "map.toml")
    assert report.verdict == "equal" and "at.linear" not in by_mode(report, "isolated")
    assert by_mode(judge(tiny, fused(0), map=tmp_path / "map.toml"), "isolated")["at.rescale_token"] == "differs"
    assert by_mode(judge(tiny, fused(1)), "isolated")["at.linear"] == "differs"


@pytest.mark.parametrize("order", [None, (1, 0), (0, 1)])
def test_are_packed_nibbles_unpacked(order):
    ours = np.array([[-8, 7, 3], [0, -1, 5]], np.int8)
    theirs = ours if order is None else ours.transpose(np.argsort(order))
    tap = Tap("t", order, packed=True)
    assert tap.device_row(("int8", ours.shape)) == ("uint8", pack_int4(theirs).shape)
    assert np.array_equal(tap.ours(pack_int4(theirs), ("int8", ours.shape)), ours)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tensors", "not TOML"),
        ("[other]", "expected the tables tensors and groups, found 'other'"),
        ("tensors = 3", "tensors: expected a table, found 3"),
        ("[tensors.x]\ncolour = 1", "expected the keys name, transpose, packing"),
        ("[tensors.x]\ntranspose = [0, 2]", "transpose: expected an order of axes from 0, found [0, 2]"),
        ("[tensors.x]\npacking = 'int3'", "packing: expected int4, found 'int3'"),
        ("[tensors.x]\nname = 3", "name: expected text, found 3"),
        ("[groups]\nf = 'x'", "expected a list of nodes, found 'x'"),
    ],
)
def test_is_a_bad_map_one_line(tmp_path, text, message):
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(FormatError) as caught:
        read_map(tmp_path / "map.toml")
    assert message in str(caught.value) and "map.toml" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(FormatError, match="cannot be read"):
        read_map(tmp_path / "absent.toml")
