"""intref demo: the whole way, from float weights to a verdict, on an embedded model."""

import click

from intref.cli import options
from intref.cli.output import check_place, print_text, progress


@click.command(short_help="From float weights to a verdict, in one go.")
@click.option("-o", "--output", default="intref-demo", show_default=True, metavar="DIR", help="Where the package goes.")
@options.as_json
def demo(output: str, as_json: bool) -> int:
    """Quantize a small sentiment model, run it in integers, judge a right and a wrong device.

    The golden package is left in DIR, the devices with their source in DIR-devices.
    """
    from intref.demo.run import run

    check_place(output)
    with progress() as told:
        found = run(output, (lambda line: None) if as_json else print_text, told)
    if as_json:
        click.echo(found.json())
    return 0 if found.ok else 1
