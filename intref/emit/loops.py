"""Nodes as C statements: loops over the axes of the outputs, each value where all that it depends on is known.

No array is made on the way: what several passes over an axis need (a maximum, a sum, the result) is computed in each.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from intref.emit.contract import Contract
from intref.emit.expressions import PRODUCT, SUM, UNARY, Text, loop_variable, number, proved, written
from intref.emit.nodes import INT64, Axis, Node, Tensor, index, size, substituted
from intref.emit.text import INDENT, REFUSE
from intref.errors import Unsupported
from intref.ops.op import dtype_range

STARTS = {"sum": "0", "add_fp32": "0", "maximum": "INT64_MIN"}
WORDS = {
    **{"+": "sum", "-": "difference", "*": "product", "/": "quotient", "%": "remainder", "isqrt": "root"},
    **dict.fromkeys(("<<", ">>", "shift_left", "shift_right", "shift_half_up"), "shifted"),
    **dict.fromkeys(("floor_divide", "divide", "div_half_up"), "quotient"),
    **{"wrap_add": "sum", "wrap_subtract": "difference", "wrap_multiply": "product", "floor_remainder": "remainder"},
    **{
        "mul_shift": "scaled",
        "mul_shift_wide": "scaled",
        "scale_fp32": "scaled",
        "maximum": "larger",
        "minimum": "smaller",
    },
}


@dataclass(eq=False)
class Scope:
    """A block of C. axis: the loop it is the body of, None for a function's. names: node -> its variable."""

    parent: "Scope | None" = None
    axis: Axis | None = None
    lines: list[str] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)

    def chain(self) -> Iterator["Scope"]:
        """This block and those around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def found(self, node: Node) -> str | None:
        """The variable that holds a node here."""
        return next((s.names[id(node)] for s in self.chain() if id(node) in s.names), None)

    def home(self, node: Node) -> "Scope":
        """The outermost block in which all loops that a node depends on are open."""
        missing, chain = set(node.axes), [*self.chain()]
        for scope in reversed(chain):
            missing -= {scope.axis}
            if not missing:
                return scope
        raise Unsupported(f"a value that depends on {sorted(a.name for a in missing)} outside of that loop")

    def add(self, text: str) -> None:
        self.lines.append(text)

    def close(self) -> None:
        """Put the loop, with all its lines, into the block around it."""
        if self.parent is None or self.axis is None:
            return
        i, length = loop_variable(self.axis), self.axis.name
        self.parent.add(f"for (int64_t {i} = 0; {i} < {length}; {i}++) {{")
        self.parent.lines += [INDENT + line for line in self.lines]
        self.parent.add("}")


class Writer:
    """Writes one way through a body. taken: names that no variable may have."""

    def __init__(self, contract: Contract, taken: set[str]):
        self.contract, self.taken = contract, set(taken)
        self.variables: dict[int, str] = {}
        self.lengths: dict[int, str] = {}  # the sizes that have become variables
        self.loaded: set[str] = set()  # the inputs whose elements are read
        self.nodes: list[Node] = []  # kept alive, since they are known by id

    def outputs(self, outputs: dict[str, Tensor]) -> list[str]:
        """The loops that compute and store every output."""
        root, left = Scope(), dict(outputs)
        while left:
            longest = max(left.values(), key=lambda t: len(_axes(t)))
            axes = _axes(longest)
            nested = {name: t for name, t in left.items() if _axes(t) == axes[: len(_axes(t))]}
            self._nest(root, axes, nested)
            left = {name: t for name, t in left.items() if name not in nested}
        return root.lines

    def _nest(self, scope: Scope, axes: list[Axis], outputs: dict[str, Tensor]) -> None:
        depth = len([s for s in scope.chain() if s.axis])
        for name, tensor in outputs.items():
            if len(_axes(tensor)) == depth:
                self._store(scope, name, tensor)
        if depth < len(axes):
            inner = Scope(scope, axes[depth])
            self._nest(inner, axes, outputs)
            inner.close()

    def _store(self, scope: Scope, name: str, tensor: Tensor) -> None:
        at = _flat([(Text(loop_variable(a)), a.name) for a in _axes(tensor)])
        dtypes = self.contract.dtypes(name, "output")
        text = self.value(tensor.node, scope).text
        if bits := self.contract.op.outputs[name].bits:
            text = self._of_bits(tensor.node, scope, name, self.contract.attribute(bits))
        if len(dtypes) > 1:
            scope.add(f"if (!put(&out[{[*self.contract.op.outputs].index(name)}], {at}, {text})) {REFUSE}")
            return
        low, high = dtype_range(dtypes[0])
        if not tensor.node.inside(low, high):
            text = self._variable(tensor.node, scope, name)
            lowest = f"{dtypes[0].upper()}_MIN" if low else "0"
            scope.add(f"if (!within({text}, {lowest}, {dtypes[0].upper()}_MAX)) {REFUSE}")
        cast = "" if dtypes[0] == "int64" else f"({dtypes[0]}_t)"
        simple = text.isidentifier() or not cast
        scope.add(f"out_{name}[{at}] = {cast}{text if simple else f'({text})'};")

    def _of_bits(self, node: Node, scope: Scope, name: str, bits: Node) -> str:
        """The variable of an output that is refused where it needs more bits than an attribute says."""
        if node.inside(-(1 << bits.low - 1), (1 << bits.low - 1) - 1):
            return self.value(node, scope).text
        text, least = self._variable(node, scope, name), self.value(bits, scope).text
        scope.add(f"if (wrap({text}, minimum({least}, 62)) != {text}) {REFUSE}")
        return text

    def value(self, node: Node, scope: Scope) -> Text:
        """A node as an expression that may stand in this block; what must stand before it is put there."""
        if known := scope.found(node) or self.lengths.get(id(node)):
            return Text(known)
        if node.kind in ("reduce", "scan", "within") or self._named(node) or self._loop_invariant(node, scope):
            return Text(self._variable(node, scope, ""))
        return self._expression(node, scope)

    def _named(self, node: Node) -> bool:
        plain = ("const", "attr", "size", "index")
        return node.name is not None and node.kind not in plain and not (node.kind == "load" and node.name == node.data)

    def _loop_invariant(self, node: Node, scope: Scope) -> bool:
        """Whether a node costs more than an addition and is the same in each turn of the loop."""
        costs = node.kind == "call" or (node.kind == "infix" and node.data in ("/", "%"))
        return costs and scope.home(node) is not scope

    def _expression(self, node: Node, scope: Scope) -> Text:
        if node.kind == "const":
            return number(node.data)
        if node.kind == "attr":
            return Text(str(node.data))
        if node.kind == "size":
            return Text(self._size(node))
        if node.kind == "index":
            scope.home(node)
            return Text(loop_variable(node.data))
        if node.kind == "load":
            return self._load(node, scope)
        return written(node, lambda arg: self.value(arg, scope))

    def _size(self, node: Node) -> str:
        if isinstance(node.data, Axis):
            return node.data.name
        what, *of = node.data
        return f"in[{[*self.contract.op.inputs].index(of[0])}].ndim" if what == "rank" else what

    def _load(self, node: Node, scope: Scope) -> Text:
        port = str(node.data)
        places = next(t.places for n, t in self.contract.forms(port).items() if n == len(node.args))
        at = _flat([(self.value(i, scope), a.name) for i, a in zip(node.args, places) if a is not None])
        if len(dtypes := self.contract.dtypes(port)) > 1:
            return Text(f"get(&in[{[*self.contract.op.inputs].index(port)}], {at})")
        self.loaded.add(port)
        return Text(f"{port}[{at}]", wide=dtypes[0] == "int64")

    def _variable(self, node: Node, scope: Scope, name: str) -> str:
        """The C variable that holds a node, made where it belongs if there is none yet."""
        if known := scope.found(node):
            return known
        home = scope.home(node)
        self.nodes.append(node)
        if node.kind in ("reduce", "scan"):
            self._fold(node, home)
        elif node.kind == "within":
            self._checked(node, home)
        else:
            chosen = self._name(node, name)
            home.add(f"const int64_t {chosen} = {self._expression(node, home).text};{_comment(node)}")
            home.names[id(node)] = chosen
        return home.names[id(node)]

    def _name(self, node: Node, wanted: str) -> str:
        """A name for a node: the body's own, or one that says what it is; the same wherever it is computed."""
        if id(node) not in self.variables:
            word = node.data[0] if isinstance(node.data, tuple) else node.data
            auto = WORDS.get(str(word), "value") if node.kind != "load" else f"{node.data}_value"
            name = base = node.name or wanted or auto
            for n in range(2, 99):
                if name not in self.taken:
                    break
                name = f"{base}{n}"
            self.taken.add(name)
            self.variables[id(node)] = name
        return self.variables[id(node)]

    def _checked(self, node: Node, home: Scope) -> None:
        x, low, high = node.args
        name = self._variable(x, home, "")
        ends = ", ".join(self.value(end, home).text for end in (low, high))
        told = low.kind == high.kind == "const"  # by the check itself
        home.add(f"if (!within({name}, {ends})) {REFUSE}{'' if told else _comment(node)}")
        home.names[id(node)] = name

    def _fold(self, node: Node, home: Scope) -> None:
        operation, axis = node.data
        if operation == "saturate":
            self._settle(node, home)
            return
        self.variables.pop(id(node), None)  # a name of its own wherever it is computed
        name = self._name(node, _fold_name(node))
        outer = home.parent if node.kind == "scan" else home
        if outer is None or (node.kind == "scan" and home.axis is not axis):
            raise Unsupported(f"a running {operation} that is not along the innermost loop")
        outer.add(f"int64_t {name} = {STARTS[operation]};{_comment(node)}")
        home.names[id(node)] = name
        inner, folded = home, node.args[0]
        if node.kind == "reduce":
            if axis in {scope.axis for scope in home.chain()}:  # a loop over it is open: another one, of its own
                along, axis = axis, Axis(axis.name, axis.limit, axis.size)
                folded = substituted(folded, {along: index(axis)})
            inner = Scope(home, axis)
        text = self.value(folded, inner).text
        if operation == "sum" and (node.low, node.high) != INT64:
            inner.add(f"{name} += {text};")
        else:
            inner.add(f"{name} = {'wrap_add' if operation == 'sum' else operation}({name}, {text});")
        if inner is not home:
            inner.close()

    def _settle(self, node: Node, home: Scope) -> None:
        """A sum that is clamped on its way."""
        _, axis = node.data
        start, low, high, every = (self.value(arg, home).text for arg in node.args[1:])
        self.variables.pop(id(node), None)
        name = self._name(node, "total")
        home.add(f"int64_t {name} = {start};{_comment(node)}")
        home.names[id(node)] = name
        inner = Scope(home, axis)
        text = self.value(node.args[0], inner).bound(SUM)
        k, terms = loop_variable(axis), size_text(self, size(axis))
        inner.add(f"{name} = settled({name} + {text}, {k} + 1, {terms}, {every}, {low}, {high});")
        inner.close()


def _fold_name(node: Node) -> str:
    """sum_e16, max_seen, running_sum_mask: after what is folded."""
    (x,), (operation, _) = node.args, node.data
    word = f"{'running_' * (node.kind == 'scan')}{'max' if operation == 'maximum' else 'sum'}"
    of = x.name or (str(x.data) if x.kind == "load" else "")
    return f"{word}_{of}" if of and of != node.name else word if word.endswith("sum") else f"{word}imum"


def _axes(tensor: Tensor) -> list[Axis]:
    return [axis for axis in tensor.places if axis is not None]


def _flat(places: list[tuple[Text, str]]) -> str:
    """The index of an element in C order, from (index, size) along each axis."""
    flat = Text("0")
    for at, length in places:
        if flat.text == "0":
            flat = at
        elif at.text == "0":
            flat = Text(f"{flat.bound(UNARY)} * {length}", PRODUCT)
        else:
            flat = Text(f"{flat.bound(UNARY)} * {length} + {at.bound(SUM)}", SUM)
    return flat.text


def _comment(node: Node) -> str:
    """The proved range, where it says more than that it is an int64 or a truth value."""
    told = (node.low, node.high) not in (INT64, (0, 1))
    return f" /* {proved(node.low, node.high)} */" if told else ""


def size_text(writer: Writer, node: Node) -> str:
    """A size, or a bound of an index, outside of all loops: no variable of the body holds any part of it."""

    def nameless(n: Node) -> Node:
        if id(n) in writer.lengths or (n.name is None and all(nameless(a) is a for a in n.args)):
            return n
        return Node(n.kind, tuple(map(nameless, n.args)), n.data, n.range, axes=n.axes)

    return writer.value(nameless(node), Scope()).text


def derived(axes: list[Axis]) -> list[Axis]:
    """The axes whose length is computed from others."""
    return [axis for axis in axes if size(axis) is axis.size]
