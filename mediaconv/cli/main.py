"""The command line: its commands by name. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mediaconv import __version__
from mediaconv.cli.configuration import schema, validate
from mediaconv.cli.kernels import kernels
from mediaconv.cli.options import INTERRUPTED, DebugOption, ending
from mediaconv.cli.run import run
from mediaconv.cli.status import status

app = typer.Typer(
    name="mediaconv",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Convolution stacks, standard and causal, over sound, images and film.",
)


def _version(value: bool) -> None:
    if value:
        print(f"mediaconv {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Convolution stacks, standard and causal, over sound, images and film."""


for command in (run, status, validate, schema, kernels):
    app.command()(ending(command))


def main() -> None:
    """The `mediaconv` program."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
