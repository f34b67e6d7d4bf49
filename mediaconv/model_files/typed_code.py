"""`--model file.py:build`: a function in a file of Python, run because whoever typed the command named it.

A configuration never runs such a file. What may be run is told to the workers by the environment, a line a
model; Ray's workers on other machines see none of it.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaconv.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

TRUSTED = "MEDIACONV_TYPED_MODELS"
_CODE = re.compile(r"(.+\.py):([A-Za-z_]\w*)")


def code_of(name: str) -> tuple[Path, str] | None:
    """The file and the function that a name such as `net.py:build` means; None for any other name."""
    match = _CODE.fullmatch(name)
    return None if match is None else (Path(match[1]), match[2])


def trust(name: str) -> str:
    """Let this process and its workers run a model's code. The name with its path in full."""
    code = code_of(name)
    if code is None:
        return name
    full = f"{code[0].resolve()}:{code[1]}"
    os.environ[TRUSTED] = "\n".join(dict.fromkeys([*_trusted(), full]))
    return full


def is_trusted(name: str) -> bool:
    """Whether a model's code was named on the command line."""
    code = code_of(name)
    return code is not None and f"{code[0].resolve()}:{code[1]}" in _trusted()


def _trusted() -> list[str]:
    return [entry for entry in os.environ.get(TRUSTED, "").split("\n") if entry]


def build_typed(name: str, options: dict[str, Any]) -> nn.Module:
    """What the function gives for the options, in evaluation mode; random weights are drawn from seed 0.

    Raises UsageError: not named on the command line, or what goes wrong in the user's code.
    """
    from mediaconv.model_files.factories import made

    code = code_of(name)
    if code is None or not is_trusted(name):
        raise UsageError(
            f"model: {name}: a configuration runs no code: name it on the command line, --model {name}, or "
            "install it (entry points mediaconv.models)"
        )
    path, function = code
    if not path.is_file():
        raise UsageError(f"model: {path}: no such file (a relative path is taken from the current folder)")
    return made(name, lambda: _function(path, function), options)


def _function(path: Path, name: str) -> Any:
    """A function of a file, which is run as by `python FILE`: its folder is searched for imports."""
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    names = runpy.run_path(str(path))
    if name not in names:
        raise UsageError(f"model: {path}: has no function {name!r}")
    return names[name]
