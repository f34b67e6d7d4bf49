"""A random module, captured and streamed in ragged chunks at many lengths: exact, or refused with reasons."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import torch
from torch import Tensor, nn

from mediaconv.nn import to_streaming
from mediaconv.nn.graph.refusal import CaptureError
from mediaconv.nn.streaming.protocol import run_chunks
from tests.nn.graph.random_modules import random_module

SHAPES = {1: (24,), 2: (16, 10), 3: (10, 6, 5)}
TOLERANCE = 1e-9
"""Relative to the largest value, in float64: sums of a chunk are rounded in another order."""
EXACT, REFUSED, EMPTY = "exact", "refused", "empty"


def searched(seed: int, dims: int | None = None) -> str:
    """What came of a seed's module; with odd seeds what cannot stream is held to the end.

    Raises AssertionError where a stream differs from its module."""
    random = Random(seed)
    dims = dims or random.choice([1, 1, 1, 2, 3])
    shape = SHAPES[dims]
    generator = torch.Generator().manual_seed(seed)
    example = torch.randn(2, 4, *shape, generator=generator, dtype=torch.float64)
    module = random_module(seed, dims, example)
    if not module.calls:
        return EMPTY
    graph = None
    try:
        graph = to_streaming(module, example=example, hold=bool(seed % 2))
    except CaptureError as refused:
        reasons = refused.reasons
    else:
        reasons = []
    if graph is None:
        assert reasons, f"seed {seed}: {module}"
        assert all(reason.strip() for reason in reasons)
        return REFUSED
    length = shape[0]
    for n in (
        *range(1, 8),
        9,
        11,
        length - 2,
        length + 1,
        length + 2,
        length + 3,
        2 * length + 5,
        3 * length + 4,
    ):
        x = torch.randn(2, 4, n, *shape[1:], generator=generator, dtype=torch.float64)
        what = f"seed {seed}, {dims}D, {n} steps: {module}"
        streamed = _streamed(graph, x, random)
        whole = _called(module, x)
        if streamed is None or whole is None:  # refused at the end, or by the module itself
            continue
        assert streamed.shape == whole.shape, (
            f"{what}: {tuple(streamed.shape)}, the module {tuple(whole.shape)}"
        )
        if whole.numel():
            error = (streamed - whole).abs().nan_to_num(0, 0).max() / whole.abs().nan_to_num(
                0, 0
            ).max().clamp(1e-30)
            assert torch.equal(streamed.isnan(), whole.isnan()), what
            assert error < TOLERANCE, f"{what}: differs by {float(error):.2g}"
    return EXACT


def _called(module: nn.Module, x: Tensor) -> Tensor | None:
    try:
        with torch.no_grad():
            return module(x)
    except (RuntimeError, ValueError, IndexError):
        return None


def _streamed(graph: nn.Module, x: Tensor, random: Random) -> Tensor | None:
    try:
        with torch.no_grad():
            return run_chunks(graph, x.split(list(_chunks(x.shape[2], random)), 2))
    except ValueError:
        return None


def _chunks(length: int, random: Random) -> Iterator[int]:
    while length:
        size = min(length, random.choice([0, 1, 1, 2, 3, 5, 8, 13]))
        yield size
        length -= size
