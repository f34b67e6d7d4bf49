"""Options that several commands share, and how a command ends: messages, exit codes, `--debug`."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import click
import typer

from mediaconv.errors import MediaconvError

if TYPE_CHECKING:
    pass

INTERRUPTED = 130

ConfigArgument = Annotated[
    str,
    typer.Argument(metavar="CONFIG", help="YAML file; relative paths in it count from the current folder"),
]
InputOption = Annotated[str | None, typer.Option("--input", "-i", help="replaces `input` of the file")]
OutputOption = Annotated[str | None, typer.Option("--output", "-o", help="replaces `output` of the file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="replaces any key: --set stack.0.conv.kernel_size=5"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document for programs")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="print errors only")]


_DEBUG = "mediaconv.debug"


def _remember(context: typer.Context, value: bool) -> bool:
    context.find_root().meta[_DEBUG] = context.find_root().meta.get(_DEBUG, False) or value
    return value


def debug_wanted() -> bool:
    """Whether `--debug` was given on this command line, before the command's name or after it."""
    context = click.get_current_context(silent=True)
    return context is not None and context.find_root().meta.get(_DEBUG, False)


DebugOption = Annotated[
    bool, typer.Option("--debug", help="show tracebacks of errors", is_eager=True, callback=_remember)
]


def ending(command: Callable[..., int | None]) -> Callable[..., None]:
    """A command whose returned number is the exit code, and whose errors are a line or two on stderr."""

    @functools.wraps(command)
    def wrapped(*args: object, **kwargs: object) -> None:
        raise typer.Exit(_code(lambda: command(*args, **kwargs)))

    return wrapped


def _code(act: Callable[[], int | None]) -> int:
    try:
        return act() or 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read our output has left
        return 1
    except MediaconvError as error:
        return _failed(error, str(error), error.exit_code)
    except Exception as error:
        defect = f"{type(error).__name__}: {error} (this is a defect of mediaconv; --debug shows where)"
        return _failed(error, defect, 1)


def _failed(error: BaseException, message: str, code: int) -> int:
    if debug_wanted():
        traceback.print_exception(error)
    else:
        print(f"error: {message}", file=sys.stderr)
    return code
