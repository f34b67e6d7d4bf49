"""Why `torch.export` failed, in a user's words: what stood in the way, its module and source line."""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, TracebackType

import torch
from torch import nn

from mediaconv.nn.graph.refusal import located

MOST = 400
"""Characters of torch's own words."""
_OWN = (f"{Path(torch.__file__).parent}{os.sep}", f"{Path(__file__).parents[2]}{os.sep}")
"""Folders whose lines a user did not write: torch's and this package's."""
_WORDS = (
    (
        r"data-dependent|unhinted",
        "its way, or a number in it, depends on the values of a tensor (if, while, float(), int(), .item()): "
        "compute both ways and choose with torch.where, or keep the number a tensor",
    ),
    (
        r"The inequality, |cannot be solved|[Cc]ould not (solve|guard)",
        "it computes sizes from each other, by blocks or by a table of positions of one size, so that no "
        "export tells which lengths it takes: it is made for inputs of one size; opaque(module, lookback, "
        "lookahead, stride) runs a model of any size whose reach is known",
    ),
    (
        r"while_loop|FunctionalTensor on its own",
        "it repeats an operation until the values no longer change, whose reach is not known: "
        "opaque(module, lookback, lookahead, stride) where that is bounded",
    ),
    (
        r"missing (?P<what>\d+ required .*)",
        "it takes more than one input ({what}): wrap it in a module whose forward takes the stream alone",
    ),
    (
        r"\.numpy\(\) is not supported|Cannot call numpy|can't call numpy|np\.ndarray",
        "it leaves torch for numpy: write it with torch's operations, or use opaque(module, lookback, "
        "lookahead, stride) where its reach is known",
    ),
    (
        r"fake tensor in the exported program",
        "it takes a tensor's .data in its forward, which no export follows: write .detach() there",
    ),
    (
        r"uninitialized parameter|UninitializedParameter",
        "a lazy layer has no parameters yet: call the module once on an input first",
    ),
    (
        r"does not have a field with name '__obj_flatten__'",
        "it has packed, quantized weights: torch.export takes none; capture the model before it is quantized",
    ),
    (
        r"missing the required \"forward\" function|_forward_unimplemented|NotImplementedError.*forward",
        "it has no forward: give a module that can be called",
    ),
)


_UNFIT = "its inputs and attributes do not fit each other: the file is damaged or no valid ONNX"


def _is_pythons(error: Exception) -> bool:
    """Whether an error in a file's node is Python's, of lists and types, which tells nothing of the file."""
    return isinstance(error, TypeError | KeyError | AttributeError) or str(error).startswith("zip()")


def reasons_of(error: Exception, module: nn.Module) -> list[str]:
    """A sentence: torch's message, or what it means, with the module and the line where it was raised; or all
    refusals that name a file's nodes.
    """
    return list(error.reasons) if getattr(error, "of_file", False) else [_reason(error, module)]  # type: ignore[attr-defined]


def _reason(error: Exception, module: nn.Module) -> str:
    said = _said(error)
    for pattern, words in _WORDS:
        match = re.search(pattern, f"{type(error).__name__}: {error}")
        if match:
            said = words.format(**match.groupdict())
            break
    else:
        said = f"torch.export: {said}"
    notes = getattr(error, "__notes__", [])
    if notes and notes[0].endswith(")") and " (gives " in notes[0]:  # a node of a file
        return f"{notes[0]}: {_UNFIT if _is_pythons(error) else said}"
    path, line = place_of(_raised(error.__traceback__), module)
    return located(said, path, line) if line else said


def _said(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])[:MOST] or type(error).__name__


def place_of(frames: Iterable[tuple[FrameType, int]], module: nn.Module) -> tuple[str, str]:
    """Of frames with their lines, the outer first: the innermost module that was running, and the last line
    that is the user's; "" where there is none.
    """
    names = {id(part): name for name, part in module.named_modules()}
    path = line = ""
    for frame, number in frames:
        code, owner = frame.f_code, frame.f_locals.get("self")
        if isinstance(owner, nn.Module) and id(owner) in names and owner is not module:
            name, kind = re.sub(r"^module\.?", "", names[id(owner)]), type(owner).__name__
            path = f"{name} ({kind})" if name else kind
        if path and not code.co_filename.startswith(_OWN) and not code.co_filename.startswith("<"):
            text = linecache.getline(code.co_filename, number).strip().rstrip(":")
            line = f"{code.co_filename}:{number}: {text}"
    return path, line


def frames_of(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """A running frame and those that called it, the outermost first."""
    frames = []
    while frame is not None:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return frames[::-1]


def _raised(traceback: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while traceback is not None:
        yield traceback.tb_frame, traceback.tb_lineno
        traceback = traceback.tb_next
