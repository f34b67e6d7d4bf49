"""Options that several commands share, and how a command ends: messages, exit codes, `--debug`."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, fields, is_dataclass
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from mediaconv.enough_threads import refuse_few_threads, startable_threads
from mediaconv.errors import SHORTAGES, MediaconvError, UsageError, shortage
from mediaconv.run.report.formatting import escaped

if TYPE_CHECKING:
    from mediaconv.config import RunConfig

INTERRUPTED = 130

ConfigArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONFIG]",
        help="YAML file; relative paths in it count from the current folder. With --model none is needed",
    ),
]
InputOption = Annotated[str | None, typer.Option("--input", "-i", help="replaces `input` of the file")]
OutputOption = Annotated[str | None, typer.Option("--output", "-o", help="replaces `output` of the file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="replaces any key: --set stack.0.conv.kernel_size=5"),
]
CausalOption = Annotated[
    bool | None, typer.Option("--causal/--no-causal", help="replaces `causal` of the file by true or false")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="a model in place of `stack`, or of CONFIG: FILE.onnx, FILE.pt2, an installed name, or "
        "FILE.py:FUNCTION, which is run: name only what you trust",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON document for programs")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="replace a file that this program did not make, too")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="print errors only")]


def causal_override(causal: bool | None) -> list[str]:
    """What `--causal` and `--no-causal` stand for, as `--set` has it."""
    return [] if causal is None else [f"causal={str(causal).lower()}"]


_debug: ContextVar[bool] = ContextVar("debug", default=False)


def _remember(value: bool) -> bool:
    _debug.set(_debug.get() or value)
    return value


def debug_wanted() -> bool:
    """Whether `--debug` was given on this command line, before the command's name or after it."""
    return _debug.get()


DebugOption = Annotated[
    bool, typer.Option("--debug", help="show tracebacks of errors", is_eager=True, callback=_remember)
]


@dataclass(frozen=True)
class ModelOptions:
    """Options of several commands that replace keys of a configuration."""

    set: SetOption = None
    model: ModelOption = None

    def subject(self, command: str, config: str | None) -> str:
        """What the command is about, for messages: the configuration's file, or the model alone.

        Raises UsageError where neither is given.
        """
        if config is None and self.model is None:
            raise UsageError(f"{command}: give a configuration, or a model alone by --model")
        return str(self.model) if config is None else config

    def load_stack(
        self, command: str, config: str | None, *, input: str | None = None, axes: int | None = None
    ) -> RunConfig:
        """The configuration of which the command looks at the stack: a file's, or that of a model alone.

        input: a media file or a folder. axes: how many are convolved. Both tell the pipeline where nothing
        else does. Raises UsageError.
        """
        self.subject(command, config)
        from mediaconv.guide.stack_only import load_stack_only

        path = None if config is None else Path(config)
        return load_stack_only(path, model=self.model, overrides=self.overrides(), input=input, axes=axes)

    def overrides(self) -> list[str]:
        """As `--set` has them. Code that `--model` names may be run."""
        if self.model is None:
            return self.set or []
        from mediaconv.config.overrides import Override
        from mediaconv.model_files.typed_code import trust

        stack = f"stack=[{{model: {json.dumps({'file': trust(self.model)})}}}]"
        return [Override(stack, f"--model {self.model}"), *(self.set or [])]


@dataclass(frozen=True)
class StackOptions(ModelOptions):
    """The same of commands for one stack, causal or standard."""

    causal: CausalOption = None

    def overrides(self) -> list[str]:
        return [*super().overrides(), *causal_override(self.causal)]


def ending(command: Callable[..., int | None]) -> Callable[..., None]:
    """A command as typer takes it: its returned number is the exit code, its errors a line or two on stderr.

    Parameters whose type is a dataclass become options, one a field; all commands take `--debug`.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options: list[Parameter] = []
    for option in signature(command).parameters.values():
        if option.name in groups:
            options += _fields_of(groups[option.name])
        else:
            options.append(option.replace(annotation=hints[option.name], kind=Parameter.KEYWORD_ONLY))
    options.append(Parameter("debug", Parameter.KEYWORD_ONLY, default=False, annotation=DebugOption))

    @functools.wraps(command)
    def wrapped(*, debug: bool, **given: Any) -> None:
        def act() -> int | None:
            refuse_few_threads()
            for name, group in groups.items():
                given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
            return command(**given)

        raise typer.Exit(_code(act))

    wrapped.__signature__ = Signature(options)  # type: ignore[attr-defined]
    return wrapped


def _fields_of(group: Any) -> Iterator[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for field in fields(group):
        yield Parameter(
            field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )


def _code(act: Callable[[], int | None]) -> int:
    with contextlib.suppress(AttributeError):  # another's stream
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr] # names that are no text
    try:
        code = act() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as error:
        if not startable_threads(1):  # OpenBLAS interrupts the program where it can start none
            return _failed(error, SHORTAGES[errno.EAGAIN], 1)
        with contextlib.suppress(OSError, ValueError):
            print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        drop_output()  # whoever read our output has left
        return 1
    except MediaconvError as error:
        if isinstance(error, UsageError) and (short := shortage(error)):  # nothing that was given is wrong
            return _failed(error, short, 1)
        return _failed(error, str(error), error.exit_code)
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            drop_output()
            return _failed(error, f"the output cannot be written: {error.strerror}", 1)
        if short := shortage(error):
            return _failed(error, short, 1)
        return _failed(
            error, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1
        )
    except Exception as error:
        if short := shortage(error):
            return _failed(error, short, 1)
        defect = f"{type(error).__name__}: {error} (this is a defect of mediaconv; --debug shows where)"
        return _failed(error, defect, 1)


def _failed(error: BaseException, message: str, code: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        if debug_wanted():
            traceback.print_exception(error)
        else:
            print("\n".join(map(escaped, f"error: {message}".split("\n"))), file=sys.stderr)
    return code


def drop_output() -> None:
    """Let what is still to be printed go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tell(text: str) -> None:
    """Print the summary of work that is done; where that fails, the exit code tells."""
    with telling():
        print(text)


@contextlib.contextmanager
def telling() -> Iterator[None]:
    """For printing about work that goes on or is done: where that fails, the exit code tells of the work."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        drop_output()
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError, ValueError):
                print(f"note: what is told cannot be written: {error.strerror}", file=sys.stderr)
    except SystemExit:  # by which rich's console leaves where a reader has left
        drop_output()
