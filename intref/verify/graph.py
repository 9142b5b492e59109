"""A model's nodes judged twice: each on golden inputs, and all of them on what the device made itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from intref.comparison import mismatches
from intref.devices.device import MODEL, DeviceError, Request
from intref.devices.protocol import Arrays
from intref.errors import BoundError, SpecError, Unsupported
from intref.model import Model, Node
from intref.ops import OPS
from intref.report.cases import NOT_RUN, UNSUPPORTED, Case
from intref.run import execute
from intref.verify.answers import flips
from intref.verify.bench import Bench
from intref.verify.tapmap import Tap, TapMap

Answer = Arrays | None | DeviceError  # what a device made of a node; None: not supported
BY_REFERENCE = "ran on the reference"


def node_ids(model: Model) -> list[str]:
    """The name by which each node is called: its site where no other node has it, else its first output's tensor."""
    sites = [node.site for node in model.nodes]
    firsts = [next(iter(node.outputs.values())) for node in model.nodes]
    return [s if s and sites.count(s) == 1 else first for s, first in zip(sites, firsts)]


@dataclass
class GraphJudge:
    """One device against one model's golden package."""

    bench: Bench
    model: Model
    taps: TapMap
    answers: dict[int, Answer] = field(default_factory=dict)  # of nodes that were given golden inputs

    def __post_init__(self) -> None:
        self.golden = self.bench.package.available
        self.ids = node_ids(self.model)
        self.groups = [self.taps.group(i, node.site) for i, node in zip(self.ids, self.model.nodes)]
        self.inner = set(self._inner())

    def run(self, mode: str) -> None:
        nodes, recorded = self.bench.package.judgeable(), self.bench.device.recorded
        self.bench.total = len(nodes) * (2 if mode == "both" and not recorded else 1)
        if missing := len(self.model.nodes) - len(nodes):
            self.bench.notes.append(
                f"{missing} of {len(self.model.nodes)} nodes cannot be judged by themselves: not in the trace"
            )
        if recorded and mode != "cumulative":
            self.bench.notes.append("recorded outputs come from one run of the whole, so none is judged in isolation")
        if mode != "cumulative" and not recorded:
            self._isolated(nodes)
        if mode != "isolated" or recorded:
            self._cumulative()

    def _inner(self) -> Iterator[str]:
        """Tensors that never leave their fused group."""
        users: dict[str, set[str]] = {name: {""} for name in self.model.outputs.values()}
        for node, group in zip(self.model.nodes, self.groups):
            for name in node.inputs.values():
                users.setdefault(name, set()).add(group)
        for node, group in zip(self.model.nodes, self.groups):
            if group:
                yield from (name for name in node.outputs.values() if users.get(name) == {group})

    def _request(self, index: int, inputs: Arrays) -> Request:
        node = self.model.nodes[index]
        expected = {port: self._row(name) for port, name in node.outputs.items()}
        return Request(self.ids[index], node.op, inputs, self.model.attrs[index], expected)

    def _row(self, name: str) -> tuple[str, tuple[int, ...]]:
        """dtype and shape of a tensor in this run."""
        sizes = {
            a: s for n, t in self.bench.package.inputs.items() for a, s in zip(self.model.tensors[n].axes, t.shape)
        }
        declared = self.model.tensors[name]
        return declared.dtype, tuple(sizes.get(a, 1) if isinstance(a, str) else a for a in declared.axes)

    def _judged(self, node: Node) -> dict[str, str]:
        """port -> tensor, of the outputs that are compared."""
        return {p: name for p, name in node.outputs.items() if name in self.golden and name not in self.inner}

    def _compare(self, request: Request, mode: str, node: Node, made: Arrays, local: bool) -> bool:
        names = {port: name for port, name in self._judged(node).items() if port in made}
        golden = {port: self.golden[name] for port, name in names.items()}
        valid = {port: self.bench.package.valid(name) for port, name in names.items()}
        return self.bench.compared(request, mode, golden, {port: made[port] for port in names}, valid, local)

    def _isolated(self, nodes: list[int]) -> None:
        """Every node on golden inputs; inside a fused group, on what the device made of the group so far."""
        own: dict[str, Arrays] = {}
        for i in nodes:
            node, group = self.model.nodes[i], own.setdefault(self.groups[i], {})
            inputs = {p: group.get(name, self.golden[name]) for p, name in node.inputs.items()}
            local = not any(name in group for name in node.inputs.values())
            request = self._request(i, inputs)
            answer = self._answer(request)
            if local:
                self.answers[i] = _shared(answer, {p: self.golden[name] for p, name in node.outputs.items()})
            if isinstance(answer, DeviceError):
                self.bench.failed(request.id, request.op, "isolated", answer)
            elif answer is None:
                self.bench.refused(request, "isolated")
            else:
                group |= {name: answer[p] for p, name in node.outputs.items() if name in self.inner}
                if self._judged(node):
                    self._compare(request, "isolated", node, answer, local)

    def _answer(self, request: Request) -> Answer:
        try:
            return self.bench.ask(request)
        except DeviceError as error:
            return error

    def _cumulative(self) -> None:
        tensors = self._whole()
        if tensors is None:
            if self.bench.device.recorded:
                return
            tensors = self._chained()
        elif self.answers and all(answer is None for answer in self.answers.values()):
            self.bench.notes.append("the device runs only the whole model, so none of its ops is judged in isolation")
            self.bench.cases = [replace(c, required=c.mode != "isolated") for c in self.bench.cases]
        self._count_flips(tensors)

    def _chained(self) -> Arrays:
        """Node by node on the device's own outputs; what it cannot run runs on the reference. The public outputs."""
        values = {**self.model.constants, **self.bench.package.inputs}
        last = {name: i for i, node in enumerate(self.model.nodes) for name in node.inputs.values()}
        right = {*values}
        for i, node in enumerate(self.model.nodes):
            request = self._request(i, {port: values[name] for port, name in node.inputs.items()})
            known = i in self.answers and all(self._is_golden(n, values[n]) for n in node.inputs.values())
            answer = self.answers[i] if known else self._answer(request)
            made = answer if isinstance(answer, dict) else self._by_reference(i, request)
            if made is None:
                self.bench.notes.append(
                    f"the chain ends at {request.id}: what the device made breaks the op's contract"
                )
                break
            local = not self.answers and right.issuperset(node.inputs.values())
            if self._record_chained(request, node, answer, made, local):
                right.update(node.outputs.values())
            values.update({name: made[port] for port, name in node.outputs.items()})
            for name in {*node.inputs.values()} - {*self.model.outputs.values()}:
                if last[name] == i:
                    del values[name]
        return {public: values[name] for public, name in self.model.outputs.items() if name in values}

    def _record_chained(self, request: Request, node: Node, answer: Answer, made: Arrays, local: bool) -> bool:
        """Record a node of the chain; whether its outputs are right."""
        if not self._judged(node):
            return True
        if isinstance(answer, dict):
            return self._compare(request, "cumulative", node, made, local)
        # Its isolated twin already stands for the failure.
        twin = bool(self.answers)
        if twin or answer is None:
            verdict, why = (NOT_RUN, BY_REFERENCE) if twin else (UNSUPPORTED, BY_REFERENCE)
            self.bench.record(Case(request.id, request.op, "cumulative", verdict, why, required=not twin))
        else:
            self.bench.failed(request.id, request.op, "cumulative", answer)
        return not any(self._is_wrong(name, made[port]) for port, name in self._judged(node).items())

    def _by_reference(self, index: int, request: Request) -> Arrays | None:
        """The reference on whatever inputs the device made; None if they break the op's contract."""
        op = OPS[request.op]
        try:
            attrs = op.check(request.inputs, request.attrs)
            try:
                return execute(op, request.inputs, attrs, "fast")
            except Unsupported:
                return execute(op, request.inputs, attrs, "reference")
        except (SpecError, BoundError):
            return None

    def _is_golden(self, name: str, value: np.ndarray) -> bool:
        return name in self.golden and (value is self.golden[name] or np.array_equal(value, self.golden[name]))

    def _is_wrong(self, name: str, value: np.ndarray) -> bool:
        return bool(mismatches(value, self.golden[name], self.bench.package.valid(name)).any())

    def _whole(self) -> Arrays | None:
        """The op `model`: every tensor that it answers is compared. The public outputs; None if it does not run."""
        names, recorded = self._device_names(), self.bench.device.recorded
        found = {name: tap.device_row(self._row(tensor)) for name, (tap, tensor) in names.items()}
        public = set() if recorded else {self.taps.tap(output).name for output in self.model.outputs}
        inputs = {name: self.bench.package.inputs[name] for name in sorted(self.model.inputs)}
        outputs = {name: row for name, row in found.items() if name in public}
        optional = {name: row for name, row in found.items() if name not in public}
        if recorded:
            return self._record_whole(*self._recorded(names, found))
        answer = self._answer(Request(MODEL, MODEL, inputs, {"taps": sorted(optional)}, outputs, optional))
        if isinstance(answer, DeviceError):
            self.bench.failed(MODEL, MODEL, "cumulative", answer)
            return None
        if answer is None:
            return None
        return self._record_whole(self._ours(answer, names))

    def _ours(self, answer: Arrays, names: dict[str, tuple[Tap, str]]) -> Arrays:
        """The device's tensors by our names, in our layouts."""
        made: Arrays = {}
        for name, array in answer.items():
            tap, tensor = names[name]
            made.setdefault(tensor, tap.ours(array, self._row(tensor)))
        return made

    def _recorded(
        self, names: dict[str, tuple[Tap, str]], rows: dict[str, tuple[str, tuple[int, ...]]]
    ) -> tuple[Arrays, dict[str, DeviceError]]:
        """The recorded tensors, each by itself, and what is wrong with the others."""
        made: Arrays = {}
        bad: dict[str, DeviceError] = {}
        for name, row in rows.items():
            answer = self._answer(Request(MODEL, MODEL, {}, {"taps": [name]}, {}, {name: row}))
            if isinstance(answer, DeviceError):
                bad[names[name][1]] = answer
            else:
                made |= self._ours(answer or {}, names)
        return made, bad

    def _device_names(self) -> dict[str, tuple[Tap, str]]:
        """The device's name for a tensor -> its tap and our tensor.

        A running device answers outputs by their public names; a recording has tensors. Where an output is called as
        another tensor is, the first kind of name wins.
        """
        outputs = [(self.taps.tap(public), self.model.outputs[public]) for public in sorted(self.model.outputs)]
        inner = [(self.taps.tap(t), t) for t in self.bench.package.tensors if t not in self.inner]
        if self.bench.device.recorded:
            found = [*inner, *outputs]
        else:
            found = [*outputs, *(row for row in inner if row[1] not in self.model.outputs.values())]
        names: dict[str, tuple[Tap, str]] = {}
        for tap, tensor in found:
            names.setdefault(tap.name, (tap, tensor))
        return names

    def _record_whole(self, tensors: Arrays, bad: Mapping[str, DeviceError] = MappingProxyType({})) -> Arrays:
        """Compare every tensor; bad: those that cannot be, and why. The public outputs."""
        right = {*self.model.constants, *self.model.inputs}
        for i, node in enumerate(self.model.nodes):
            made = {port: tensors[name] for port, name in self._judged(node).items() if name in tensors}
            for name in [name for name in node.outputs.values() if name in bad]:
                self.bench.failed(name, node.op, "cumulative", bad[name])
            if not made:
                continue
            local = right.issuperset(node.inputs.values())
            inputs = {port: self.golden[name] for port, name in node.inputs.items()} if local else {}
            equal = self._compare(self._request(i, inputs), "cumulative", node, made, local)
            if equal and len(made) == len(node.outputs):
                right.update(node.outputs.values())
        for public, tensor in self.model.outputs.items():
            if tensor not in tensors and tensor not in bad:
                self.bench.record(Case(public, MODEL, "cumulative", NOT_RUN, "nothing was recorded for this output"))
        return {public: tensors[tensor] for public, tensor in self.model.outputs.items() if tensor in tensors}

    def _count_flips(self, public: Arrays) -> None:
        """What the differences do to every output."""
        for name, array in sorted(public.items()):
            tensor = self.model.outputs[name]
            if tensor not in self.golden or not array.ndim:
                continue
            self.bench.flips[name] = flips(array, self.golden[tensor], self.bench.package.valid(tensor))


def _shared(answer: Answer, golden: Arrays) -> Answer:
    """An answer that is golden's, bit for bit, as golden's own arrays, so that none is kept twice."""
    if not isinstance(answer, dict):
        return answer
    return {p: golden[p] if np.array_equal(t, golden[p]) else t for p, t in answer.items()}
