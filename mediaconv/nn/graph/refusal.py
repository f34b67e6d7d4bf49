"""Why a module cannot stream: all reasons at once, each with its operation, module and source line."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, fx

_WRAPPERS = ("_Selected", "GraphModule")
"""Classes around a user's model, which say nothing of where an operation stands."""
_CAPTURE = f"{Path(__file__).parent / 'capture'}{os.sep}"
"""The folder whose lines call a user's model."""


class CaptureError(TypeError):
    """A module that cannot be made to stream. `reasons` has one sentence for each obstacle."""

    def __init__(self, reasons: Sequence[str], name: str = "") -> None:
        self.reasons = list(reasons)
        head = f"{name}: " if name else ""
        if len(self.reasons) == 1:
            super().__init__(head + self.reasons[0])
        else:
            lines = "".join(f"\n- {reason}" for reason in self.reasons)
            super().__init__(f"{head}{len(self.reasons)} reasons why it cannot stream:{lines}")


class RefusalError(ValueError):
    """One operation that cannot stream; the analysis adds where it stands."""


class FinalRefusalError(RefusalError):
    """One that could not be computed on the whole input either."""


@dataclass(frozen=True)
class Origin:
    """Where an operation comes from. path: of the module, or a file's own name of its node; line: file, line
    and source text; of a file's node, what it gives.
    """

    operation: str
    path: str
    line: str
    of_file: bool = False

    @classmethod
    def of(cls, node: fx.Node) -> Origin:
        named = (node.meta.get("custom") or {}).get("file_node")
        if named is not None:
            operation, name, output = named
            return cls(operation, name, f"gives {output}", of_file=True)
        stack = node.meta.get("nn_module_stack") or {}
        path, kind = "", ""
        for name, cls_name in stack.values():
            path = name.replace("L['self'].", "")
            kind = (cls_name if isinstance(cls_name, str) else cls_name.__name__).rsplit(".", 1)[-1]
            kind = "" if kind in _WRAPPERS else kind
        path = re.sub(r"^module\.?", "", path)
        frames = re.findall(
            r'File "([^"]+)", line (\d+)[^\n]*\n\s*([^\n]+)', node.meta.get("stack_trace") or ""
        )
        # the user's own lines, not generated code or the call of the captured module
        frames = [f for f in frames if not f[0].startswith(("<", _CAPTURE))]
        line = "{}:{}: {}".format(*frames[-1]) if frames else ""
        target = getattr(node.target, "_opname", None) or getattr(node.target, "__name__", str(node.target))
        return cls(str(target), f"{path} ({kind})" if path and kind else path or kind, line)

    def message(self, reason: str) -> str:
        """One line for the user."""
        if self.of_file:
            return f"{self.operation} {self.path}".strip() + f" ({self.line}): {reason}"
        return located(reason, self.path, self.line, self.operation)


def located(reason: str, path: str, line: str, operation: str = "") -> str:
    """A reason after the place that it is for."""
    where = f"in {path}" if path else ""
    source = f"at {line}" if line else ""
    place = " ".join(word for word in (operation, where, source) if word)
    return f"{place}: {reason}" if place else reason


_LIBRARY = torch.library.Library("mediaconv", "FRAGMENT")
_LIBRARY.define("refused(str reasons, Tensor[] reads, SymInt[] sizes) -> Tensor")


def refused_tensor(reasons: Sequence[str], reads: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
    """While a module is exported: what stands for an operation that is refused, so that the export goes on
    and finds the others. A graph with it is refused, for these reasons; computed, it raises.

    reads: what the operation reads, at least one tensor. sizes: of what it would give.
    """
    return torch.ops.mediaconv.refused("\n".join(reasons), list(reads), list(sizes))


def refusals_in(graph: fx.Graph) -> list[str]:
    """The reasons of all that `refused_tensor` stands for."""
    return [reason for node in graph.nodes for reason in refusals_of(node) or ()]


def refusals_of(node: fx.Node) -> list[str] | None:
    """The reasons of a refused operation; None for any other node."""
    if node.target is not torch.ops.mediaconv.refused.default:
        return None
    return [reason for reason in str(node.args[0]).split("\n") if reason]


def _raises(reasons: str, reads: list[Tensor], sizes: list[int]) -> Tensor:
    raise CaptureError(reasons.split("\n"))


_LIBRARY.impl("refused", _raises, "CompositeExplicitAutograd")
torch.library.register_fake(
    "mediaconv::refused", lambda reasons, reads, sizes: reads[0].new_empty(sizes), lib=_LIBRARY
)
