"""What every op in the table must pass. A new op gets all of this from its row in OPS."""

import functools
import inspect
import itertools
import re
from typing import Any, NamedTuple

import numpy as np
import pytest

from intref import OPS, call, step
from intref.errors import BoundError, SpecError
from intref.intmath import within
from intref.ops import Op
from intref.selftest import published, score
from intref.vectors import FLAGS, MODULES, Case, cases, equivalent, refused

SECTIONS = ["Inputs", "Attributes", "Output", "Exact", "Rounding", "Saturates", "Overflow", "Errors", "Source"]
INT64 = (-(1 << 63), (1 << 63) - 1)
WINDOWED = {"Y": 16, "X": 16}  # axes of which no more meets in one result than the longest window holds


class IntOnly(np.ndarray):
    """An array on which any float result is an error."""

    def __array_finalize__(self, source):
        assert self.dtype.kind in "iubO", f"a {self.dtype} was created"

    def __array_ufunc__(self, ufunc, method, *args, **kwargs):
        plain = [a.view(np.ndarray) if isinstance(a, IntOnly) else a for a in args]
        return np.asarray(getattr(ufunc, method)(*plain, **kwargs)).view(IntOnly)


class Answer(NamedTuple):
    """A case made ready to run a body on, and what the reference gives."""

    case: Case
    tensors: dict[str, np.ndarray]  # int64
    attrs: dict[str, Any]  # complete
    want: dict[str, Any]

    def differs(self, got) -> bool:
        """Whether any output has another shape or another value."""
        return any(np.shape(got[k]) != np.shape(v) or not np.array_equal(got[k], v) for k, v in self.want.items())

    def run(self, body, view=np.ndarray):
        return body(**{k: t.view(view) for k, t in self.tensors.items()}, **self.attrs)


@functools.cache
def answers(name) -> tuple[Answer, ...]:
    op, found = OPS[name], []
    for case in cases(name):
        tensors, attrs = {k: case.tensors[k].astype(np.int64) for k in op.inputs}, op.check(case.tensors, case.attrs)
        found.append(Answer(case, tensors, attrs, op.reference(**tensors, **attrs)))
    return tuple(found)


@functools.lru_cache(maxsize=8)  # some are of millions of elements
def bounds(name, choices, sizes=()):
    return OPS[name].bounds(dict(sizes), **dict(choices))


def choices(op, attrs):
    return tuple((k, attrs[k]) for k, a in op.attrs.items() if a.choices)


def every_choice(op):
    return itertools.product(*([(k, c) for c in a.choices] for k, a in op.attrs.items() if a.choices))


def sizes(op, case) -> dict[str, int]:
    """The size of every named axis of a case."""
    shapes = [(port, case.tensors[name].shape) for name, port in op.inputs.items()]
    pairs = [(axis, n) for port, shape in shapes for axis, n in zip(port.form(len(shape)), shape)]
    return {axis: n for axis, n in pairs if axis[0] not in ".1"}


@pytest.fixture(params=OPS.values(), ids=lambda op: op.name)
def op(request) -> Op:
    return request.param


def test_every_op_has_vectors_and_nothing_else_has():
    assert MODULES.keys() == OPS.keys()


def test_spec_text_is_complete(op):
    assert [w for line in op.spec.splitlines() if (w := line.split(" ")[0]) in SECTIONS] == SECTIONS


def test_cases_say_why_and_which_bug(op):
    whys = [case.why for case in cases(op.name)]
    assert len(set(whys)) == len(whys)
    for case in cases(op.name):
        assert case.flags and {*case.flags} <= FLAGS.keys(), case.why
        assert all(t.dtype.kind in "iu" for t in case.tensors.values()), case.why


def test_cases_are_the_same_each_time(op):
    again = cases.__wrapped__(op.name)
    for case, other in zip(cases(op.name), again, strict=True):
        assert (case.why, case.attrs, case.flags) == (other.why, other.attrs, other.flags)
        assert all(np.array_equal(case.tensors[k], other.tensors[k]) for k in case.tensors), case.why


def test_cases_hit_every_dtype_choice_and_form(op):
    for name, port in op.inputs.items():
        given = [case.tensors[name] for case in cases(op.name)]
        assert {str(t.dtype) for t in given} == {*port.dtype.split()}, name
        assert {len(f) for f in port.forms() if f[0] != "..."} <= {t.ndim for t in given}, name
        assert len({t.ndim for t in given}) > 1 or "..." not in port.axes, f"{name}: other leading axes"
    for name, attr in op.attrs.items():
        assert {*attr.choices} <= {op.complete(case.attrs)[name] for case in cases(op.name)}, name


def test_int64_never_wraps(op):
    for a in answers(op.name):
        assert not a.differs(op.reference(**{k: t.astype(object) for k, t in a.tensors.items()}, **a.attrs)), a.case.why


def test_bounds_fit_int64_and_hold_every_size(op):
    axes = [k for k in op.limits if len({sizes(op, case)[k] for case in cases(op.name)}) > 1]  # a table has one length
    for chosen in every_choice(op):
        largest = bounds(op.name, chosen)
        for size in (1, 2, 3):
            for small, large in zip(bounds(op.name, chosen, tuple((k, size) for k in axes)), largest, strict=True):
                low, high = large.value.min(), large.value.max()
                assert INT64[0] <= low <= small.value.min() <= small.value.max() <= high <= INT64[1], large.text


def test_every_intermediate_lies_inside_its_bounds(op):
    kept = {axis for port in op.outputs.values() for axis in port.axes.split()}  # uniform: one element stands for them
    for a in answers(op.name):
        _, log = op.trace({k: t.astype(object) for k, t in a.tensors.items()}, a.attrs)
        named = sizes(op, a.case).items()
        table_sizes = tuple((k, min(n, WINDOWED.get(k, n))) for k, n in named if k not in {*op.limits} | kept)
        for seen, bound in zip(log, bounds(op.name, choices(op, a.attrs), table_sizes), strict=True):
            assert seen.text.split("(")[0] == bound.text.split("(")[0]
            within_bounds = bound.value.min() <= seen.value.min() and seen.value.max() <= bound.value.max()
            assert within_bounds, (a.case.why, bound.text)


def test_kernel_matches_reference(op):
    pytest.importorskip("numba")
    for case in cases(op.name):
        want = call(op.name, case.tensors, case.attrs)
        got = call(op.name, case.tensors, case.attrs, backend="fast")
        assert got.keys() == want.keys()
        for k in want:
            assert got[k].dtype == want[k].dtype and np.array_equal(got[k], want[k]), case.why


def test_reference_makes_no_float(op):
    for a in answers(op.name):
        assert not a.differs(a.run(op.reference, IntOnly)), a.case.why


def test_float_guard_bites():
    with pytest.raises(AssertionError):
        np.array([1, 2]).view(IntOnly).mean()
    with pytest.raises(AssertionError):
        np.array([1, 2]).view(IntOnly) / 2


def test_every_mutant_and_every_fault_is_killed_or_equivalent(op):
    """The body's mutants, and the catalogue of devices' bugs: no reason is given for one that a case does show.

    And golden/score.json publishes these numbers: tools/make_score.py writes it.
    """
    found = score(op.name)
    row = published()["ops"][op.name]
    assert {key: row[key] for key in found.json()} == found.json()
    print(f"{op.name}: {found.json()}, {found.mutants.crashed} mutants killed by an error alone")
    assert (found.survivors, found.stale) == ((), ())
    assert found.mutants.equivalents.keys() == equivalent(op.name).keys()


def test_every_label_is_refused(op):
    ranges = {"C3"} if any((port.low, port.high) != (None, None) for port in op.inputs.values()) else set()
    assert refused(op.name).keys() - {"BoundError"} == {"C1", "C2", "C4", *ranges, *op.constraints}
    assert set(re.findall(r"\bC\d+\b|\bBoundError\b", op.spec.split("Errors")[1])) == refused(op.name).keys()
    base = cases(op.name)[0]
    for label, every in refused(op.name).items():
        for broken in every:
            tensors = base.tensors | {k: v for k, v in broken.items() if k in op.inputs}
            attrs = base.attrs | {k: v for k, v in broken.items() if k not in op.inputs}
            with pytest.raises(BoundError if label == "BoundError" else SpecError) as caught:
                call(op.name, tensors, attrs)
            text = "do not lie in" if label == "BoundError" else rf"^{op.name}: .* must .*\({label}\)$"
            assert re.search(text, str(caught.value)) and "\n" not in str(caught.value), label


def test_missing_and_unknown_names_are_refused(op):
    base = cases(op.name)[0]
    for name in op.inputs:
        with pytest.raises(SpecError, match="C1"):
            call(op.name, {k: t for k, t in base.tensors.items() if k != name}, base.attrs)
    with pytest.raises(SpecError, match="C1"):
        call(op.name, {**base.tensors, "colour": np.zeros(1, np.int8)}, base.attrs)
    for name in (k for k, a in op.attrs.items() if a.default is None):
        with pytest.raises(SpecError, match=f"{name}.*C4"):
            call(op.name, base.tensors, {k: v for k, v in base.attrs.items() if k != name})
    with pytest.raises(SpecError, match="C4"):
        call(op.name, base.tensors, {**base.attrs, "colour": 1})


def test_an_unknown_op_is_refused():
    with pytest.raises(SpecError, match=r"^softmax: there is no such op.*softmax_ita.*\(C1\)$"):
        call("softmax", {}, {})


def test_a_false_lemma_is_caught():
    with pytest.raises(BoundError):
        within(np.array([3]), 0, 2)


def test_step_ends_in_the_output(op):
    for case in cases(op.name)[:5]:
        got = call(op.name, case.tensors, case.attrs)
        for name, y in got.items():
            for index in itertools.islice(np.ndindex(y.shape), 3):
                values = [value for _, value in step(op.name, case.tensors, case.attrs, index)]
                assert values[-1] == y[index] if len(got) == 1 else y[index] in values, (case.why, name)


def test_signatures_name_ports_then_attributes(op):
    assert [*inspect.signature(op.reference).parameters] == [*op.inputs, *op.attrs]


def sliced(op, tensors, axis):
    """The tensors at the first index of one named axis; None where none is longer than that."""
    forms = {name: op.inputs[name].form(t.ndim) for name, t in tensors.items()}
    if not any(axis in form and tensors[name].shape[form.index(axis)] > 1 for name, form in forms.items()):
        return None
    return {name: t[first_of(axis, forms[name])] for name, t in tensors.items()}


def first_of(axis, form):
    return tuple(slice(0, 1) if named == axis else slice(None) for named in form)


def test_is_every_axis_along_which_elements_meet_declared(op):
    """Bounds let one element stand for a whole axis of data, unless the op says that it reduces it."""
    data = {a for p in op.inputs.values() if {"...", "B"} & {*p.axes.split()} for form in p.forms() for a in form}
    for axis, case in itertools.product({*data, ".0"} - {"...", "1", *op.reduces}, cases(op.name)):
        try:
            tensors = sliced(op, case.tensors, axis)
            part = call(op.name, tensors, case.attrs) if tensors else {}
        except SpecError:  # a size that an attribute or a constant must agree with
            continue
        whole = call(op.name, case.tensors, case.attrs)
        for name, got in part.items():
            want = whole[name][first_of(axis, op.outputs[name].form(whole[name].ndim))]
            assert got.shape != want.shape or np.array_equal(got, want), f"elements meet along {axis}: {case.why}"
