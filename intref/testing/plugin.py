"""The pytest plugin: the corner cases of an op as parameters, failing cases saved as golden packages.

    @pytest.mark.intref_op("rescale", rounding="half_even", output="int8")
    def test_my_rescale(intref_check):
        intref_check(my_rescale)

    pytest --intref-level 2 --intref-save-failures failures/

The mark runs a test once for each corner case of the op that has the given attributes. Fixtures: `intref_case` (.id
.why .tensors .attrs .flags), `intref_reference` (the reference's outputs by name), `intref_check` (a function: takes a
kernel and asserts that it gives these bits). Nothing of intref but this file is loaded until a test needs it.
"""

import hashlib
import re
import shlex
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from intref.testing.corners import CornerCase
    from intref.testing.failure import Arrays, Kernel

OPTION, LEVEL = "--intref-save-failures", "--intref-level"
MARK = "intref_op"
LONGEST = 100  # characters of a directory's name
SAVED = "intref_saved"  # the property of a test's report: where its failing call is
PLAIN = re.compile(r"\w[\w./]*(::\w+)+(\[\w([\w.-]*\w)?\])?", re.ASCII)  # node ids that no other's name is like


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("intref", "bit-exact integer kernels")
    words = "Corner cases of marked tests: 1 the directed ones, 2 also random ones."
    group.addoption(LEVEL, type=int, choices=(1, 2), default=1, metavar="N", help=words)
    words = "Write each failing call as a golden package under DIR."
    group.addoption(OPTION, type=_folder, metavar="DIR", help=words)


def _folder(text: str) -> str:
    if not text:
        raise pytest.UsageError(f"{OPTION}: expected a directory, found an empty name")
    return text


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", f"{MARK}(op, level=1, **attrs): run for each corner case of an op that has them."
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    mark = metafunc.definition.get_closest_marker(MARK)
    wanted = "intref_case" in metafunc.fixturenames
    if mark is None and not wanted:
        return
    if mark is None or not wanted:
        needed = f"the mark {MARK}(op)" if wanted else "a fixture of intref_case, intref_reference or intref_check"
        pytest.fail(f"{metafunc.function.__name__}: expected {needed}, found none", pytrace=False)
    cases = _cases(mark, int(metafunc.config.getoption(LEVEL)))
    metafunc.parametrize("intref_case", cases, indirect=True, ids=[case.id for case in cases])


def _cases(mark: pytest.Mark, level: int) -> tuple["CornerCase", ...]:
    from intref.errors import SpecError
    from intref.testing.corners import corner_cases

    try:
        return corner_cases(*mark.args, **{"level": level, **mark.kwargs})
    except (SpecError, TypeError) as error:
        raise pytest.fail.Exception(f"mark {MARK}: {error}", pytrace=False) from None


@pytest.fixture
def intref_case(request: pytest.FixtureRequest) -> "CornerCase":
    """One corner case of the op that the mark names: .id .why .tensors .attrs .flags; arrays of the test's own."""
    case: CornerCase = request.param
    return case._replace(tensors={name: t.copy() for name, t in case.tensors.items()}, attrs=dict(case.attrs))


@pytest.fixture
def intref_reference(request: pytest.FixtureRequest, intref_case: "CornerCase") -> "Arrays":
    """The reference's outputs for the case, by name."""
    return _reference(_op(request.node), intref_case)


@pytest.fixture
def intref_check(request: pytest.FixtureRequest, intref_case: "CornerCase") -> Callable[["Kernel"], None]:
    """check(kernel): `intref.testing.assert_call` on the case."""
    from intref.testing.assertions import assert_call

    def check(kernel: "Kernel") -> None:
        __tracebackhide__ = True
        assert_call(_op(request.node), kernel, intref_case.tensors, intref_case.attrs, intref_case.why)

    return check


def _op(item: pytest.Item) -> str:
    """The op that the mark of a test names; empty if it has no mark."""
    mark = item.get_closest_marker(MARK)
    return str([*mark.args, mark.kwargs.get("op")][0]) if mark else ""


def _reference(op: str, case: "CornerCase") -> "Arrays":
    from intref.ops import OPS

    return OPS[op].run(case.tensors, case.attrs)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Say of a failing call how to replay it."""
    try:
        return (yield)
    except Exception as error:
        found = next((e for e in _leaves(error) if getattr(e, "case", None)), error)
        op, case = _call(item, found)
        if case is not None:
            error.add_note(f"  replay: {_replay(item, op, case, found)}")
        raise


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Every exception of a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _call(item: pytest.Item, error: BaseException) -> tuple[str, "CornerCase | None"]:
    """The call that a failure shows: the assertion's, else the one that the test was given, whatever it made of it."""
    if (case := getattr(error, "case", None)) is not None:
        return str(getattr(error, "op", "")), case
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return _op(item), parameters.get("intref_case")


def _replay(item: pytest.Item, op: str, case: "CornerCase", error: BaseException) -> str:
    """Save the case, where that is asked for; the command that shows its arithmetic."""
    from intref.errors import IntrefError
    from intref.golden import write_op_golden

    folder = item.config.getoption(OPTION)
    if folder is None:
        return f"intref step, after pytest {OPTION} DIR"
    path = Path(folder) / _name(item.nodeid)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        smallest = getattr(error, "smallest", None)
        found = case._replace(why=case.why or f"a failing call of {item.name}")
        write_op_golden(op, path, [found, *([smallest] if smallest else [])])
    except (IntrefError, OSError) as problem:
        return f"not possible: the case could not be saved: {problem}"
    item.user_properties.append((SAVED, str(path)))  # which goes with the report, from a worker of xdist too
    return f"intref step {shlex.quote(str(path))} --op {op}-0000 {_place(_reference(op, case), error)}"


def _place(outputs: "Arrays", error: BaseException) -> str:
    """The element to look at: the one that the assertion names, else the first."""
    first = next(iter(outputs))
    port, index = getattr(error, "port", None) or first, getattr(error, "index", None)
    shape = outputs[port].shape
    if index is None or len(index) != len(shape) or any(i >= n for i, n in zip(index, shape)):
        index = (0,) * len(shape)
    output = "" if port == first else f"--output {port} "
    return f"{output}--at {','.join(map(str, index)) or '[]'}"


def _name(nodeid: str) -> str:
    """A directory's name for a test: short, of letters that every shell and file system takes, and unique, on one that
    ignores case too: what the plain name loses, a few digits of a hash keep."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", nodeid).strip("-.")
    if len(plain) <= LONGEST and PLAIN.fullmatch(nodeid) and nodeid == nodeid.lower():
        return plain
    return f"{plain[:LONGEST]}-{hashlib.sha256(nodeid.encode()).hexdigest()[:8]}"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reports = chain.from_iterable(terminalreporter.stats.values())
    saved = {value for report in reports for key, value in getattr(report, "user_properties", ()) if key == SAVED}
    if saved:
        count = f"{len(saved)} failing call{'s' if len(saved) > 1 else ''}"
        terminalreporter.write_line(f"intref: {count} saved as golden packages under {config.getoption(OPTION)}")
