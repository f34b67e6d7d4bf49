"""An export as files: `.onnx` or `.pt2`, a `.json` beside it, and a step's first state.

A file is checked by its own runtime before it is put in its place. The step itself is in `exported_step`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.errors import UsageError, WriteError
from mediaconv.filesystem import check_made, in_the_way, is_regular, open_to_read, write_made, write_whole
from mediaconv.nn.export.checking import TOLERANCE, check, random_inputs
from mediaconv.nn.export.exported_step import LENGTH, OUTPUTS, Step
from mediaconv.nn.export.runtimes import RUNTIMES, Exported

FLUSH = (
    "set the state clock.length to the input's length, feed so many chunks of zeros, and keep so many "
    "outputs of theirs; of any input, clock.outputs tells from then on how many there are after `skip`; "
    "-1 for a length that the step is not for, by `lengths`"
)


def write_step(
    step: Step,
    path: Path | str,
    module: nn.Module,
    *,
    metadata: Mapping[str, Any] | None = None,
    inputs: Iterable[Tensor] = (),
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write an exported step and run the file against the module on the whole; keep it if they are equal.

    path: ends in `.onnx` or `.pt2`; `NAME.json` is written beside it, and `NAME.state.safetensors` where the
        state before the first step is not zeros. module: what the step was made of.
    metadata: further facts for the JSON file and the file's own properties.
    inputs: what the file is checked with beside random chunks, each (N, C, T, ...).
    overwrite: replace files of these names that this program did not make.
    Returns what was written to the JSON file. Raises UsageError for another suffix, for files in the way,
    where onnxruntime is missing, and where the file's outputs differ by more than 1e-5 of the largest; then
    nothing is written.
    """
    target = Target(path, overwrite)
    target.check(with_state=not step.starts_from_zeros)
    names = list(step.info.state)
    facts = describe(step, target) | dict(metadata or {})
    arguments = [torch.zeros(step.info.shape, dtype=step.dtype), *step.start()]
    made = target.runtime(step.eval(), arguments, ["chunk", *names], facts["outputs_in_order"])
    random = list(random_inputs(step, module))
    worst, checked = 0.0, [*random, *inputs]
    for x in checked:
        worst = max(worst, check(made.run, step, module, x))
    facts["checked"] = {
        "random_steps": [x.shape[2] for x in random],
        "input_steps": [x.shape[2] for x in checked[len(random) :]],
        "largest_difference": refuse_difference(worst, target.path),
        "tolerance": TOLERANCE,
        "versions": made.versions,
    }
    state = None if step.starts_from_zeros else dict(zip(names, step.start(), strict=True))
    return target.write(made, facts, state)


def describe(step: Step, target: Target) -> dict[str, Any]:
    """A step's facts as plain values, with the inputs and outputs in order."""
    info = step.info
    names = list(info.state)
    states = {
        name: {"shape": list(value.shape), "type": str(value.dtype).removeprefix("torch.")}
        for name, value in zip(names, step.start(), strict=True)
    }
    return {
        "kind": "step",
        "file": target.path.name,
        "type": str(step.dtype).removeprefix("torch."),
        "chunk": info.chunk,
        "outputs": info.outputs,
        "skip": info.skip,
        "flush": {
            "chunks": info.flush_chunks,
            "outputs": info.flush_outputs,
            "length_state": LENGTH,
            "outputs_state": OUTPUTS,
            "how": FLUSH,
        },
        "channels": {"input": info.shape[1], "output": info.output_shape[1]},
        "shape": list(info.shape),
        "output_shape": list(info.output_shape),
        "inputs": ["chunk", *names],
        "outputs_in_order": ["outputs", *(f"{name}.next" for name in names)],
        "state": states,
        "initial_state": "zeros" if step.starts_from_zeros else target.state_path.name,
        "latency": info.latency,
        "receptive_field": None if math.isinf(info.receptive_field) else info.receptive_field,
        "lookback": None if math.isinf(info.lookback) else info.lookback,
        "stride": info.stride,
        "lengths": None if info.lengths is None else asdict(info.lengths),
    }


def refuse_difference(difference: float, path: Path) -> float:
    """The difference again. Raises UsageError where it is more than the tolerance, or not a number."""
    if not difference <= TOLERANCE:
        raise UsageError(
            f"{path}: not written: what was exported differs from the stack by {difference:.2g} of its "
            f"largest value, at most {TOLERANCE} is allowed"
        )
    return difference


def json_tells_of(path: Path) -> dict[str, Any]:
    """What the JSON file beside a path tells, where it is of another export that is there; else nothing."""
    try:
        facts = json.loads(path.with_suffix(".json").read_bytes())
        other = facts["file"] != path.name and path.with_name(facts["file"]).is_file()
        return facts if other else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class Target:
    """The files of one export, and whether they may be written. Raises UsageError where they may not.

    path: of the `.onnx` or `.pt2` file. runtime: what makes and runs it.
    """

    def __init__(self, path: Path | str, overwrite: bool) -> None:
        self.path, self._overwrite = Path(path), overwrite
        if self.path.suffix not in RUNTIMES:
            got = repr(self.path.suffix) if self.path.suffix else "no suffix"
            raise UsageError(f"{self.path}: got {got}, expected one of {', '.join(RUNTIMES)}")
        self.runtime = RUNTIMES[self.path.suffix]
        self.json_path = self.path.with_suffix(".json")
        self.state_path = self.path.with_suffix(".state.safetensors")
        self.check()

    def check(self, *, with_state: bool = False) -> None:
        """Raises UsageError where something that this program did not make is in the way.

        Also where another export would lose the state that it starts from.
        """
        check_made(self.path, overwrite=self._overwrite)
        check_made(self.json_path, overwrite=self._overwrite)
        told = json_tells_of(self.path)
        if told.get("initial_state", "zeros") != "zeros" and not self._overwrite:
            what = f"the state that {told['file']} starts from"
            raise in_the_way(self.state_path, what, "choose another name, or give --overwrite")
        if not with_state or not os.path.lexists(self.state_path):
            return
        if not is_regular(self.state_path):
            raise in_the_way(self.state_path)
        if not self._overwrite and not self._is_ours():
            raise in_the_way(self.state_path, "a file that this program did not make", "give --overwrite")

    def _is_ours(self) -> bool:
        """Whether the JSON file, which is ours, tells of this very state file."""
        try:
            facts = json.loads(self.json_path.read_bytes())
            with open_to_read(self.state_path) as file:
                return facts["initial_state_sha256"] == hashlib.sha256(file.read()).hexdigest()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def write(
        self, made: Exported, facts: dict[str, Any], state: Mapping[str, Tensor] | None = None
    ) -> dict[str, Any]:
        """Write all files; the JSON file, which tells of the others, last. Raises UsageError, WriteError."""
        self.check(with_state=state is not None)
        if state is not None:
            from safetensors.torch import save

            data = save({name: value.contiguous() for name, value in state.items()})
            facts["initial_state_sha256"] = hashlib.sha256(data).hexdigest()
            try:
                write_whole(self.state_path, data, fresh=not os.path.lexists(self.state_path))
            except OSError as error:
                raise WriteError(
                    f"{self.state_path}: cannot be written: {error.strerror or error}"
                ) from error
        elif is_regular(self.state_path) and self._is_ours():  # of an export that this one replaces
            self.state_path.unlink()
        write_made(self.path, made.data(facts), overwrite=self._overwrite)
        text = json.dumps(facts, indent=2)
        write_made(self.json_path, text.encode(), overwrite=self._overwrite)
        return facts
