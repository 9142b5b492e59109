"""The error budget as a picture: one bar for each source, one panel for each dialect."""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intref.atomic import StrPath, write_atomically
from intref.errors import FormatError, Unsupported

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from intref.dialects.budget import Budget

COLOURS = {"weights": "#4c72b0", "rounding": "#55a868", "op": "#c44e52"}
FORMS = ("svg", "png", "pdf")


def check_form(path: StrPath) -> str:
    """The form that a name asks for; FormatError if it asks for none."""
    form = Path(path).suffix.removeprefix(".")
    if form not in FORMS:
        raise FormatError(f"{path}: expected a name that ends in .{', .'.join(FORMS)}")
    return form


def require_matplotlib() -> None:
    """Unsupported where it is not installed: said before the work, not after it."""
    if find_spec("matplotlib") is None:
        raise Unsupported("a picture needs matplotlib: pip install 'intref[plot]'")


def draw(budgets: Sequence["Budget"], path: StrPath) -> None:
    """Write the picture; its form is the ending of the name. Unsupported where matplotlib is not installed."""
    form = check_form(path)
    figure = figure_of(budgets)
    made = io.BytesIO()
    figure.savefig(made, format=form, metadata={"Date": None} if form == "svg" else None)
    write_atomically(path, made.getvalue())


def figure_of(budgets: Sequence["Budget"]) -> "Figure":
    """A panel for each budget, its sources by size, and a line at the whole."""
    require_matplotlib()
    from matplotlib import rcParams
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rcParams.update({"svg.hashsalt": "intref", "svg.fonttype": "none"})  # the same bytes for the same numbers
    tallest = max(len(budget.rows) for budget in budgets)
    figure = Figure(figsize=(5.5 * len(budgets), 1.2 + 0.28 * tallest), layout="constrained")
    for axes, budget in zip(figure.subplots(1, len(budgets), squeeze=False)[0], budgets):
        _panel(axes, budget)
    handles = [Patch(color=colour, label=source) for source, colour in COLOURS.items()]  # in no axes: no limit moves
    figure.axes[0].legend(handles=handles, fontsize=7, loc="lower center")
    return figure


def _panel(axes: Any, budget: "Budget") -> None:
    output = budget.outputs[0]
    rows = sorted(budget.rows, key=lambda row: row.distance[output])
    labels = [f"{row.kind} {row.op}".strip() for row in rows]
    positions = range(len(rows))
    axes.barh(positions, [row.distance[output] for row in rows], color=[COLOURS[row.source] for row in rows])
    axes.set_yticks(positions, labels, fontsize=7)
    axes.set_xlabel(f"distance from real numbers, {output}")
    axes.axvline(budget.whole.distance[output], color="black", linewidth=1, linestyle="--")
    axes.set_title(f"{budget.profile} ({budget.recipe}); dashed: the whole", fontsize=9)
