"""An input over which a causal and a standard layer never agree by coincidence: digits, some of them changed.

Two sums of small whole numbers are often equal though other numbers were summed, and a picture then seems
to say that nothing leaks. All layers that can be drawn of one shape count, so that their pictures share an
input.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from mediaconv.draw.animate.made_layers import causal_options, demo_input, layer_like, standard_counterpart
from mediaconv.nn.copying import copy_module

ROUNDS = 100
"""Digits that are changed at most."""
LARGEST = 20_000
"""Weights of a layer for which this is done: sums of more are hardly ever equal, and trying takes seconds."""
MOST_CANDIDATES = 27
"""Digits around an output that are tried."""


def distinct_input(layer: nn.Module, lengths: Sequence[int]) -> Tensor:
    """Digits, (C_in, ...) float64, for a convolution with whole numbers as weights.

    At every output the standard layer and each causal one of its shape differ, unless they read the same.
    """
    x = demo_input(int(layer.in_channels), lengths)  # type: ignore[arg-type]
    if layer.weight.numel() > LARGEST:  # type: ignore
        return x
    pairs = list(_pairs(layer, x))
    top = int(x.max())
    for _ in range(ROUNDS):
        agreeing = [_agreeing(x[None], *pair)[0] for pair in pairs]
        places = [(a.nonzero()[0], pair[0]) for a, pair in zip(agreeing, pairs, strict=True) if a.any()]
        if not places:
            break
        (_, *position), one = places[0][0].tolist(), places[0][1]
        tried = torch.stack(list(_changes(one, position, x, top)))
        counts = sum(_agreeing(tried, *pair).flatten(1).sum(1) for pair in pairs)
        x = tried[int(torch.as_tensor(counts).argmin())]
    return x


def _pairs(layer: nn.Module, x: Tensor) -> Iterator[tuple[nn.Module, nn.Module, Tensor]]:
    """Each causal layer of this shape, the standard one, and where both compute the same from the same."""
    standard = standard_counterpart(layer)
    for causal in (*_causal_forms(layer), *([copy_module(layer)] if _is_rare(layer) else [])):
        with torch.no_grad():
            for each in (standard, causal):
                each.weight.copy_(layer.weight)  # type: ignore
                if layer.bias is not None:
                    each.bias.copy_(layer.bias)  # type: ignore
            if causal(x[None]).shape != standard(x[None]).shape:
                continue
            generator = torch.Generator().manual_seed(0)
            noise = torch.rand((1, *x.shape), generator=generator, dtype=torch.float64) + 1.0
            yield causal, standard, (causal(noise) - standard(noise)).abs()[0] < 1e-9


def _is_rare(layer: nn.Module) -> bool:
    """Whether it is a causal layer that `_causal_forms` does not make."""
    return getattr(layer, "raster_type", "B") == "A" or getattr(layer, "alignment", "strict") == "block"


def _causal_forms(layer: nn.Module) -> Iterator[nn.Module]:
    """Causal layers with a layer's arguments."""
    name = type(layer).__name__.removeprefix("Causal")
    transposed, dims = "Transpose" in name, len(layer.kernel_size)  # type: ignore[arg-type]
    forms = [("pad", axis) for axis in range(dims if dims == 2 else 1)]
    if not transposed:
        forms += [("mask", axis) for _, axis in forms] + ([("raster", 0)] if dims > 1 else [])
    for mode, axis in forms:
        try:
            options = causal_options(mode, axis, transposed=transposed)
            yield layer_like(layer, f"Causal{name}", **options)
        except (ValueError, TypeError):  # such as padding by reflection, which no causal layer has
            continue


def _agreeing(x: Tensor, causal: nn.Module, standard: nn.Module, same: Tensor) -> Tensor:
    """Where both give the same from inputs (N, C, ...) though they read others: (N, C_out, ...)."""
    with torch.no_grad():
        return ((causal(x) - standard(x)).abs() < 1e-9) & ~same


def _changes(layer: nn.Module, position: Sequence[int], x: Tensor, top: int) -> Iterator[Tensor]:
    """The input with another digit at a place around an output, the nearest first."""
    now = [j * s for j, s in zip(position, layer.stride, strict=True)]  # type: ignore
    reach = [(k - 1) * d for k, d in zip(layer.kernel_size, layer.dilation, strict=True)]  # type: ignore
    spans = [range(max(0, t - r), min(n, t + r + 1)) for t, r, n in zip(now, reach, x.shape[1:], strict=True)]
    around = sorted(
        itertools.product(*spans), key=lambda p: sum(abs(a - b) for a, b in zip(p, now, strict=True))
    )
    for place in around[:MOST_CANDIDATES]:
        for channel, digit in itertools.product(range(min(2, len(x))), range(1, top + 1)):
            if x[(channel, *place)] != digit:
                changed = x.clone()
                changed[(channel, *place)] = digit
                yield changed
