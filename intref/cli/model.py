"""intref inspect, quantize, run, audit: commands on checkpoints and model files."""

from typing import Any

import click

from intref.cli import options
from intref.cli.output import (
    check_place,
    print_facts,
    print_json,
    print_note,
    print_table,
    print_text,
    progress,
)


@click.command(short_help="Say what a file or directory holds.")
@click.argument("path")
@options.as_json
def inspect(path: str, as_json: bool) -> None:
    """Say what PATH is: a float checkpoint directory, a model file, or a golden package (whose hashes it checks).

    A package of the suite has a name, such as suite:linear: see intref verify.
    """
    from intref.cli.inspection import described, tables
    from intref.cli.suite import one

    found = described(one(path))
    if as_json:
        print_json(found)
        return
    for i, (title, columns, rows) in enumerate(tables(found)):
        print_text(f"{chr(10) * bool(i)}{title}")
        print_table(columns, rows)


@click.command(short_help="Make the integer model of a checkpoint.")
@click.argument("checkpoint")
@click.option("-o", "--output", required=True, metavar="FILE", help="The model file to write.")
@click.option("--recipe", help="Name or TOML file (intref recipe list); default: the one for --profile, or w8a8-token.")
@click.option("--profile", help="Name or TOML file; default: the recipe's.")
@click.option(
    "--calib", metavar="FILE", help="Token ids (.safetensors, .npz, .jsonl) or text (.txt) to calibrate with."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the token ids drawn where there is no --calib."
)
@click.option("--head", help="Keep this head only: pooler, classifier or sentence.")
@click.option("--eval", "evaluate", metavar="FILE", help="Compare with the float model on this, in a form of --calib.")
@options.as_json
def quantize(
    checkpoint: str,
    output: str,
    recipe: str | None,
    profile: str | None,
    calib: str | None,
    seed: int,
    head: str | None,
    evaluate: str | None,
    as_json: bool,
) -> None:
    """Make the integer model of a float CHECKPOINT directory, and say how near it is to the float one.

    Same bytes every time on one machine, no more. Nearness is measured on the first batches of the calibration data,
    which flatters; --eval takes token ids that the model was not calibrated with.
    """
    from intref.cli import measuring
    from intref.profiles import load_profile, marked
    from intref.quantize import load
    from intref.quantize.recipe import made_for

    _check_names(recipe, profile)
    check_place(output)
    if profile is not None and recipe is None:
        recipe = made_for(load_profile(profile)).name
        print_note(f"recipe {recipe}, the one for profile {profile}; --recipe takes another")
    float_model = load(checkpoint, head)
    batches, source = measuring.calibration(float_model, calib, seed)
    evaluation = measuring.evaluation(float_model, evaluate)
    with progress() as told:
        model = float_model.quantize(recipe, profile, batches if calib else None, seed, told)
        near = measuring.nearness(float_model, model, evaluation or batches[: measuring.FEW], told)
    model.save(output)
    on = evaluate or "calibration data"
    facts: dict[str, Any] = {
        "model": output,
        "hash": model.hash,
        "recipe": model.about["recipe"],
        "profile": model.about["profile"],
        "calibration": source,
        "nodes": len(model.nodes),
        "outputs": ", ".join(model.outputs),
        "proved": "every intermediate fits int64, every tensor its declared range",
    }
    if as_json:
        print_json({**facts, "fidelity": {"on": on, "outputs": near}})
    else:
        print_facts({**facts, "profile": marked(model.about["profile"])}.items())
        print_text(f"\nnearness to the float model, on {on}")
        print_table(*measuring.table(near))
    if not calib and "random" in source:
        print_note(f"calibrated with {source}; for trained models give --calib")


def _check_names(recipe: str | None, profile: str | None) -> None:
    """A mistyped name costs no calibration."""
    from intref import profiles
    from intref.cli.catalogue import check_known
    from intref.quantize import recipe as recipes

    for word, name, known in (("recipe", recipe, recipes.names()), ("profile", profile, profiles.names())):
        if name is not None:
            check_known(word, name, known)


@click.command(short_help="Run a model on one batch.")
@click.argument("path", metavar="MODEL")
@options.inputs
@options.backend
@click.option("--trace", metavar="PATTERN", help="Tensors to keep, such as 'L0.*,logits', or all.")
@click.option("-o", "--output", metavar="FILE", help="Write outputs and trace to this safetensors file.")
@click.option("--float", "as_float", is_flag=True, help="Show values in real units.")
@options.as_json
def run(
    path: str, backend: str, trace: str | None, output: str | None, as_float: bool, as_json: bool, **given: Any
) -> None:
    """Run a MODEL file on one batch: outputs, digests, and the label of each row."""
    from intref.cli.inputs import read_inputs
    from intref.cli.running import described, saved, tables
    from intref.modelfile import open_model
    from intref.run import teller

    check_place(output)
    model = open_model(path)
    inputs = read_inputs(model, **given)
    with progress() as told:
        result = model.run(inputs, backend, trace, observers=[teller(model, told)])
    if output is not None:
        saved(result, output)
    found = described(result, backend, as_float)
    if as_json:
        print_json(found)
        return
    for i, (columns, rows) in enumerate(tables(found)):
        print_text("") if i else None
        print_table(columns, rows)


@click.command(short_help="Show that a model holds no float.")
@click.argument("path", metavar="MODEL")
@options.as_json
def audit(path: str, as_json: bool) -> int:
    """Show that no float exists below the lowering: in the source, in the compiled kernels, in the MODEL's tensors."""
    from intref.audit import audit as audited
    from intref.modelfile import open_model

    model = open_model(path)
    with progress() as told:
        found = audited(model, told)
    if as_json:
        click.echo(found.json())
    else:
        for title, columns, rows in found.tables():
            print_text(title)
            print_table(columns, rows)
            print_text("")
        print_text(found.text())
    return 0 if found.ok else 1
