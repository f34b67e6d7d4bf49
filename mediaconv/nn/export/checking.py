"""An exported file against the module it was made of: random inputs, and inputs that are given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.export.exported_step import LENGTH, Step, StepInfo, run_step
from mediaconv.nn.export.lengths_taken import fits_length

TOLERANCE = 1e-5
"""Largest difference to the call on the whole, relative to its largest value: sums run in other orders."""

Runner = Callable[..., list[Tensor]]


def check(run: Runner, step: Step, module: nn.Module, x: Tensor) -> float:
    """Relative difference between a step's outputs and the module's for an input (N, C, T, ...).

    Fed twice: with the end told in its chunk, and, of whole chunks, as an input whose end comes unforeseen.
    """
    info, start = step.info, step.start()
    worst = difference(run_step(run, info, start, x), module, x, step.finish)
    whole_chunks = x.shape[2] // info.chunk * info.chunk
    x = x.narrow(2, 0, whole_chunks)
    if whole_chunks and fits_length(module, whole_chunks):
        worst = max(worst, difference(run_flushed(run, info, start, x), module, x, step.finish))
    return worst


def run_flushed(run: Runner, info: StepInfo, start: list[Tensor], x: Tensor) -> Tensor:
    """An input of whole chunks whose length is told only when it is over, ended as `flush` says."""
    state, outputs = list(start), []
    for chunk in x.split(info.chunk, 2):
        y, *state = run(chunk, *state)
        outputs.append(y)
    state[list(info.state).index(LENGTH)] = torch.tensor(x.shape[2])
    for _ in range(info.flush_chunks):
        y, *state = run(torch.zeros_like(x.narrow(2, 0, info.chunk)), *state)
        outputs.append(y)
    y = torch.cat(outputs, 2)
    total = x.shape[2] // info.chunk * info.outputs + info.flush_outputs
    return y.narrow(2, min(info.skip, y.shape[2]), max(0, total - info.skip))


def difference(y: Tensor, module: nn.Module, x: Tensor, finish: Any = None) -> float:
    """Largest difference between outputs and the module's on the whole, relative to its largest value.

    finish: what was done with the outputs; it measures the difference itself where it has `difference`.
    Infinity where shapes differ.
    """
    y = y.detach()
    with torch.no_grad():
        whole = module(x)
        if hasattr(finish, "difference"):
            return float(finish.difference(y, whole)) if y.shape == whole.shape else float("inf")
        whole = whole if finish is None else finish(whole)
    if y.shape != whole.shape:
        return float("inf")
    if not whole.numel():
        return 0.0
    largest = float(whole.abs().max())
    return float((y - whole).abs().max()) / (largest or 1.0)


def random_inputs(step: Step, module: nn.Module) -> Iterator[Tensor]:
    """Inputs of one chunk, three, and more than an output reads; each ends inside of a chunk."""
    info = step.info
    reach = int(info.receptive_field) if info.receptive_field != float("inf") else 0
    lengths = (chunks * info.chunk + info.chunk // 2 + reach for chunks in (1, 3))
    return noise(module, info.shape, step.dtype, lengths)


def noise(
    module: nn.Module, shape: Sequence[int], dtype: torch.dtype, lengths: Iterable[int]
) -> Iterator[Tensor]:
    """Inputs of these lengths along the stream axis, or of the next ones that a captured module holds for."""
    generator = torch.Generator().manual_seed(0)
    for length in lengths:
        while not fits_length(module, length):
            length += 1
        yield torch.randn((*shape[:2], length, *shape[3:]), generator=generator).to(dtype)
