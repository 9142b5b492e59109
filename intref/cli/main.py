"""`intref COMMAND ...`: the entry point. Every expected failure is one line on standard error and exit code 2."""

import os
import sys
import warnings
from collections.abc import Sequence

import click

from intref import __version__
from intref.cli import (
    catalogue,
    coverage,
    demo,
    diagnosis,
    dialects,
    emitting,
    exchange,
    model,
    package,
    reporting,
    scoring,
    sweeping,
)
from intref.cli.output import nearest, one_line
from intref.errors import IntrefError, Unsupported

BAD_INPUT, BUG, INTERRUPTED, CLOSED_PIPE = 2, 70, 130, 141


class Commands(click.Group):
    """A group that lists its commands in the order they are read, and proposes near names for an unknown one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.commands]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise Unsupported(nearest("command", args[0], self.commands))
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="intref", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """The golden reference for integer transformers: bit-exact, integer-only, proved free of overflow.

    Exit codes: 0 equal or done, 1 something differs, 2 bad input, 3 something required did not run.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (
    *(demo.demo, model.inspect, model.quantize, model.run),
    *(package.golden, package.verify, reporting.report, package.step),
    *(diagnosis.explain, diagnosis.minimize, diagnosis.identify),
    *(exchange.export, exchange.import_, emitting.emit),
    *(sweeping.gen, sweeping.sweep, coverage.coverage),
    *(scoring.selftest, model.audit, catalogue.ops, dialects.profile, catalogue.recipe),
):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and return its exit code; nothing it meets is a traceback."""
    if argv is None and not sys.warnoptions:
        warnings.simplefilter("ignore")  # a library's warning is no message to whoever runs a command
    try:
        code = _invoked([*(sys.argv[1:] if argv is None else argv)])
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        _close_stdout()
        return CLOSED_PIPE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except click.ClickException as error:
        return _failed(error.format_message() + _see(error), BAD_INPUT)
    except OSError as error:
        return _failed(_os_line(error), BAD_INPUT)
    except MemoryError:
        return _failed("out of memory", BAD_INPUT)
    except IntrefError as error:
        return _failed(str(error), BAD_INPUT)
    except Exception as error:
        if os.environ.get("INTREF_TRACEBACK"):
            raise
        text = f"bug in intref: {type(error).__name__}: {error} (INTREF_TRACEBACK=1 shows where)"
        return _failed(text, BUG)


def _invoked(argv: list[str]) -> int:
    try:
        with cli.make_context("intref", argv) as ctx:
            return int(cli.invoke(ctx) or 0)
    except click.exceptions.Exit as stop:
        return stop.exit_code


def _see(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return f" (see {context.command_path} --help)" if context else ""


def _os_line(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def _failed(text: str, code: int) -> int:
    try:
        print(f"intref: error: {one_line(text)}", file=sys.stderr)
        sys.stdout.flush()
    except OSError:  # nobody listens, or the disk that stdout goes to is full: said already
        _close_stdout()
    return code


def _close_stdout() -> None:
    """Let the interpreter's own flush at exit go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError, AttributeError):
        sys.stdout = open(os.devnull, "w")
