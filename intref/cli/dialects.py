"""intref profile: the dialects, what they say, and what tells one from another."""

from typing import Any

import click

from intref.cli import options
from intref.cli.catalogue import check_known, print_file, with_toml
from intref.cli.output import check_place, print_json, print_note, print_table, print_text, progress
from intref.errors import Unsupported

OURS = "ours"  # how the source of a profile begins that no device or paper defines
ITSELF = "defined by intref itself"
# How the names begin of oracles that are parts of one thing, or that say more than whose they are.
MAKERS = ("ONNX Runtime", "Deeploy", "LiteRT", "TOSA", "I-ViT", "FQ-ViT", "Hugging Face", "ITA RTL", "gemmini.h")


@click.group(short_help="List, show and compare the dialects.")
def profile() -> None:
    """The dialects: which op, with which attributes, stands at each site."""


@profile.command("list")
@options.as_json
def profile_list(as_json: bool) -> None:
    """List the profiles that come with intref; experimental ones have no oracle run behind them."""
    from intref.dialects.oracles import by_profile
    from intref.profiles import load_profile, names

    found, runs = [load_profile(name) for name in names()], by_profile()
    if as_json:
        heads = [{"name": p.name, "status": p.status, "about": p.about, "source": p.source} for p in found]
        print_json([{**head, "oracles": runs.get(head["name"], [])} for head in heads])
        return
    rows = [(p.name, p.status, _judges(p, runs), len(runs.get(p.name, ())) or "", p.about) for p in found]
    print_table(("profile", "status", "oracles", "runs>", "about"), rows)


def _judges(profile: Any, runs: dict[str, list[dict[str, Any]]]) -> str:
    """Whose oracles a profile was checked against; one that intref itself defines has none."""
    makers = dict.fromkeys(_maker(run["oracle"]) for run in runs.get(profile.name, ()))
    return ", ".join(makers) or (ITSELF if profile.source.startswith(OURS) else "none")


def _maker(oracle: str) -> str:
    """Whose an oracle is: its name without the operator, the part or the machine, which `profile show` tells."""
    return next((maker for maker in MAKERS if oracle.startswith(maker)), oracle.partition(",")[0])


@profile.command("show")
@click.argument("name")
@options.as_json
@with_toml
def profile_show(name: str, as_json: bool, as_toml: bool) -> None:
    """Show one profile, by NAME or by the path of its TOML file."""
    from intref.dialects.oracles import by_profile
    from intref.profiles import HERE, names

    found = _loaded(name)
    if as_toml:
        print_file(HERE, name, names())
        return
    sites, runs = {site: dict(table) for site, table in found.sites.items()}, by_profile().get(found.name, [])
    if as_json:
        head = {"name": found.name, "status": found.status, "about": found.about, "source": found.source}
        print_json({**head, "sites": sites, "oracles": runs})
        return
    print_text(f"{found.name} ({found.status}): {found.about}\nsource: {found.source}\n")
    print_table(
        ("site", "op", "attributes"), [(site, table["op"], _attributes(table)) for site, table in sites.items()]
    )
    if runs:
        print_text("")
        columns = ("op", "oracle", "cases>", "separating>", "mismatches>", "note")
        print_table(columns, [[run[column.strip(">")] for column in columns] for run in runs])


@profile.command("diff")
@click.argument("a")
@click.argument("b")
@click.option("--model", metavar="DIR", help="A float checkpoint; default: the embedded sentiment model.")
@click.option("--recipe", help="Name or TOML file; default: the embedded recipe that A is made for.")
@click.option("--inputs", metavar="FILE", help="Token ids in a form of quantize --calib; default: calibration data.")
@click.option("--no-model", is_flag=True, help="Compare on vectors only.")
@click.option("--picture", metavar="FILE", help="Of the budget (A is wide): .svg, .png or .pdf; needs intref[plot].")
@options.as_json
def profile_diff(
    a: str,
    b: str,
    model: str | None,
    recipe: str | None,
    inputs: str | None,
    no_model: bool,
    picture: str | None,
    as_json: bool,
) -> None:
    """Compare profile A with B: the sites that differ, on how many vectors, and what that does to a model's output.

    Of a site with the same op, the op's directed vectors are run with what the site's keys give the op: at how many
    they part, and the first element (intref step suite:OP --op CASE --at PLACE shows that case as it is stored). A key
    that no op is given, but decides a scale or a width before, is named: the outputs show it. Of every site, a model of
    A is made anew with that site of B (and with B's softmax_input or activation_input, if it is that site's): how many
    of its outputs change, by how much, and how many labels. Two profiles that no vector tells apart are aliases: exit
    code 2.

    A = wide stands for real numbers: then the distance of B's model from it is split into the rounding of weights, the
    rounding at every kind of site, and what each op does beside rounding, one row each. --recipe is then B's.
    """
    from intref.dialects import differences
    from intref.dialects.budget import YARDSTICK
    from intref.dialects.compared import compared
    from intref.dialects.effect import PREPARED

    one, two = _loaded(a), _loaded(b)
    parts = differences(one, two)
    if all(part.equal for part in parts):
        vectors = sum(part.vectors for part in parts)
        said = f"equal on all of {vectors} vectors" if parts else "the same at every site"
        raise Unsupported(f"profiles {one.name} and {two.name} are aliases: {said}")
    if one.name == YARDSTICK and not no_model:
        _budget(two, model, recipe, inputs, picture, as_json)
        return
    if picture is not None:
        raise Unsupported(f"--picture is of a budget, which needs {YARDSTICK} as the first profile")
    with progress() as told:
        effects = {} if no_model else compared(one, two, [p.site for p in parts], model, recipe, inputs, told)
    if as_json:
        sites = [{**p.json(), "model": effects[p.site].json() if p.site in effects else None} for p in parts]
        print_json({"a": one.name, "b": two.name, "sites": sites, "all": effects[""].json() if effects else None})
        return
    for whose, site in PREPARED.items():
        if whose in effects and site in effects and effects[site].refused:
            del effects[site]  # the row of the site that it prepares shows it
    rows = [(p.site, _side(p.a), _side(p.b), _on_vectors(p), p.witness, *_changes(effects.get(p.site))) for p in parts]
    if effects:
        rows.append(("all of them", "", "", "", "", *_changes(effects[""])))
    columns = ("site", one.name, two.name, "vectors>", "first: A, B", "outputs changed>", "by at most>", "labels>")
    print_table(columns, rows)
    for site, effect in effects.items():
        if effect.refused:
            print_note(f"{site or 'all of them'}: {effect.refused}")


def _budget(
    profile: Any, model: str | None, recipe: str | None, inputs: str | None, picture: str | None, as_json: bool
) -> None:
    """The error budget of a profile, as a table and, if wanted, a picture."""
    from intref.dialects.compared import budgeted
    from intref.dialects.picture import check_form, draw, require_matplotlib

    if picture is not None:
        check_form(picture)
        require_matplotlib()
        check_place(picture)
    with progress() as told:
        found = budgeted(profile, model, recipe, inputs, told)
    if picture is not None:
        draw([found], picture)
    if as_json:
        print_json(found.json())
        return
    print_text(f"{found.profile}, recipe {found.recipe}: root mean square distance from real numbers, relative\n")
    print_table(("source", "site", "op", *(f"{name}>" for name in found.outputs)), found.table())
    for output in found.outputs:
        alone, rest = found.together(output), found.remainder(output)
        print_text(f"{output}: {alone:.3g} were all independent; {100 * rest:.0f} % of the whole's square is joint")


def _loaded(name: str) -> Any:
    from intref.profiles import load_profile, names

    check_known("profile", name, names())
    return load_profile(name)


def _attributes(table: dict[str, Any]) -> str:
    return ", ".join(k if v is True else f"{k} {v}" for k, v in table.items() if k != "op")


def _side(table: Any) -> str:
    return f"{table['op']} {_attributes(dict(table))}".strip() if table else "-"


def _on_vectors(part: Any) -> str:
    if not part.same_op:
        return "another op"
    counts = [f"{part.differ} of {part.vectors}"] if part.shown else []
    if part.refused and not part.differ:
        counts.append(f"{part.refused} allowed by one alone")
    return "; ".join([*counts, *([f"{part.otherwise}, see the outputs"] if part.otherwise else [])])


def _changes(effect: Any) -> tuple[str, str, str]:
    if effect is None:
        return ("", "", "")
    if effect.refused:
        return ("not alone", "", "")
    labels = f"{effect.labels} of {effect.rows}" if effect.rows else ""
    return (f"{effect.differ} of {effect.elements}", f"{100 * effect.largest:.3g} %", labels)
