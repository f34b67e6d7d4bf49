"""The command line: its commands by name. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from typing import Annotated

import typer

from mediaconv import __version__
from mediaconv.cli.animate import animate
from mediaconv.cli.compare import compare
from mediaconv.cli.configuration import schema, validate
from mediaconv.cli.export import export
from mediaconv.cli.forecast import forecast
from mediaconv.cli.help import CommandGroup, help
from mediaconv.cli.info import info
from mediaconv.cli.init import init
from mediaconv.cli.inspect import inspect
from mediaconv.cli.kernels import kernels
from mediaconv.cli.options import INTERRUPTED, DebugOption, drop_output, ending
from mediaconv.cli.prove import prove
from mediaconv.cli.receptive import receptive
from mediaconv.cli.run import run
from mediaconv.cli.status import status
from mediaconv.cli.trace import trace
from mediaconv.standard_streams import open_streams, quiet_libraries

app = typer.Typer(
    name="mediaconv",
    no_args_is_help=True,
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
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


COMMANDS = (
    init,
    info,
    run,
    status,
    validate,
    schema,
    compare,
    prove,
    animate,
    trace,
    inspect,
    receptive,
    kernels,
    export,
    help,
)
for command in COMMANDS:
    app.command()(ending(command))

demo = typer.Typer(no_args_is_help=True, help="Lessons that compute what they tell.")
demo.command()(ending(forecast))
app.add_typer(demo, name="demo")


def main() -> None:
    """The `mediaconv` program."""
    open_streams()
    if "--debug" not in sys.argv:
        quiet_libraries()
    try:
        app()
    except KeyboardInterrupt:
        _leave_at_once()
    except OSError as error:  # of printing the help
        drop_output()
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError, ValueError):
                print(f"error: the output cannot be written: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as done:
        if done.code == INTERRUPTED:
            _leave_at_once()
        raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is done and cleaned up: no traceback of leaving
        gc.freeze()  # leaving collects twice: torch's million objects go anyway


def _leave_at_once() -> None:
    """End an interrupted program, which has cleaned up: tearing torch down can take seconds more."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
