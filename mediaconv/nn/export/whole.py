"""The call on the whole as a file whose input has a free length, to compare a step with."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mediaconv.errors import UsageError
from mediaconv.nn.convert import to_streaming
from mediaconv.nn.export.checking import difference, noise
from mediaconv.nn.export.runtimes import Exported
from mediaconv.nn.export.step_files import Target, refuse_difference
from mediaconv.nn.export.to_onnx import first_line
from mediaconv.nn.summary.dependence import check_eval, geometry, streams

DIM = 2


class WholeCall(nn.Module):
    """A module called once, and what is done with its outputs."""

    def __init__(self, module: nn.Module, finish: nn.Module | None) -> None:
        super().__init__()
        self.module, self.finish = module, finish

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, T, ...) to (N, C', T', ...)."""
        y = self.module(x)
        return y if self.finish is None else self.finish(y)


def write_whole_call(
    module: nn.Module,
    example: Tensor,
    path: Path | str,
    *,
    finish: nn.Module | None = None,
    metadata: Mapping[str, Any] | None = None,
    inputs: Iterable[Tensor] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write a module's call on the whole, with a free length along the stream axis; keep it if it is equal.

    example: (N, C, T, ...); the other sizes are those of every call. The other arguments are those of
    `write_step`. Raises UsageError also where the export holds for one length alone.
    """
    target = Target(path, overwrite)
    module = (module if streams(module) else to_streaming(module)).eval()
    check_eval(module)
    along = geometry(module)
    steps = example.shape[DIM]
    random = list(noise(module, example.shape, example.dtype, (steps, steps + 1, 2 * steps + 5)))
    call = WholeCall(module, finish).eval()
    made = target.runtime(call, [random[0]], ["input"], ["output"], DIM)
    checked = [*random, *inputs]
    worst = max(_difference(made, module, x, finish, target.path) for x in checked)
    if math.isinf(worst):
        raise UsageError(
            f"{target.path}: not written: what was exported gives outputs of other sizes than the stack at "
            "other lengths than its own, as where a loop is unrolled: export the step, without --whole"
        )
    facts: dict[str, Any] = {
        "kind": "whole",
        "file": target.path.name,
        "type": str(example.dtype).removeprefix("torch."),
        "inputs": ["input"],
        "outputs_in_order": ["output"],
        "shape": [*example.shape[:DIM], None, *example.shape[DIM + 1 :]],
        "latency": None if math.isinf(along.latency) else along.latency,
        "receptive_field": None if math.isinf(along.receptive_field) else along.receptive_field,
        "stride": str(along.total_stride),
        **(metadata or {}),
    }
    facts["checked"] = {
        "random_steps": [x.shape[DIM] for x in random],
        "input_steps": [x.shape[DIM] for x in checked[len(random) :]],
        "largest_difference": refuse_difference(worst, target.path),
        "versions": made.versions,
    }
    return target.write(made, facts)


def _difference(made: Exported, module: nn.Module, x: Tensor, finish: nn.Module | None, path: Path) -> float:
    try:
        (y,) = made.run(x)
    except Exception as error:  # each runtime has its own error for an export that holds for some lengths
        other = "; .onnx may take every length" if path.suffix == ".pt2" else ""
        raise UsageError(
            f"{path}: not written: what was exported does not take {x.shape[DIM]} steps: "
            f"{first_line(error)}{other}"
        ) from error
    return difference(y, module, x, finish)
