"""Whether a converted model computes what the original does: both run once on random input.

Chooses the input, runs and compares. Converts nothing; the original is left as it was, random numbers too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from mediaconv.nn.streaming.protocol import axis_map, count_axes, leaves, output_channels, run_chunks

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Relative to the largest value: two algorithms round apart, layer after layer; a wrong layer is far off."""
COARSE = 5e-2
"""The tolerance of types of less precision."""
CHANNELS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Channels that are tried where no layer states them."""
STATED = ("in_channels", "num_features", "num_channels", "num_parameters", "channels")
"""Where layers keep the number of channels that they take."""
OUTPUTS = 6
"""Outputs along the stream axis that the input is long enough for; a third of it along the others."""
MOST_STEPS = 2**21
MOST_NUMBERS = 2**23
"""Of the longer inputs that are tried: noise for a larger one takes seconds to make."""


def check_conversion(module: nn.Module, converted: nn.Module, example: Tensor | None = None) -> None:
    """Run both on one input and compare: the conversion on the whole, and in ragged chunks along axis 0.

    example: (N, C, ...); without one, noise of a shape that the model takes.
    Raises TypeError where the values differ, where the model does not take the example, or where no input was
    found that it takes.
    """
    if any(t.is_meta for t in (*module.parameters(), *module.buffers())):
        return  # there are no values to compare
    with torch.no_grad(), _at_rest(module), _at_rest(converted):
        if example is None:
            example, whole = _first_taken(module, converted)
        else:
            whole = _called(module, example)
        _compare(converted(example.clone()), whole, type(module).__name__, "on the whole")
        _compare(_in_chunks(converted, example), whole, type(module).__name__, "in chunks")


def _called(module: nn.Module, example: Tensor) -> Tensor:
    """What a model gives for an example. Raises TypeError with what to do where it does not take it."""
    try:
        return module(example.clone())
    except (ValueError, RuntimeError) as error:
        from mediaconv.nn.graph.capture.stated_layout import call_hint

        if (hint := call_hint(module, example)) is None:
            raise
        raise TypeError(f"{type(module).__name__}: {hint}") from error


@contextmanager
def _at_rest(module: nn.Module) -> Iterator[None]:
    """In eval mode, without hooks, and with the random numbers put back after."""
    parts = list(module.modules())
    modes = [part.training for part in parts]
    hooks = [(part._forward_hooks, part._forward_pre_hooks) for part in parts]
    with ExitStack() as stack:
        devices = {t.device for t in module.parameters() if t.device.type == "cuda"}
        stack.enter_context(torch.random.fork_rng([d.index or 0 for d in devices]))
        try:
            for part in parts:
                part.training = False
                part._forward_hooks, part._forward_pre_hooks = (
                    type(part._forward_hooks)(),
                    type(part._forward_pre_hooks)(),
                )
            yield
        finally:
            for part, mode, (after, before) in zip(parts, modes, hooks, strict=True):
                part.training = mode
                part._forward_hooks, part._forward_pre_hooks = after, before


def _first_taken(module: nn.Module, converted: nn.Module) -> tuple[Tensor, Tensor]:
    """An input that the model takes, and what it gives."""
    tensors = itertools.chain(module.parameters(), module.buffers())
    known = next((t for t in tensors if t.is_floating_point()), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    reason: Exception | None = None
    for shape in _shapes(converted):
        x = torch.randn(shape, generator=generator).to(known.device, known.dtype)
        try:
            y = module(x.clone())
        except (ValueError, RuntimeError) as error:
            reason = reason or error
            continue
        if isinstance(y, Tensor) and y.numel():
            return x, y
    because = f" ({str(reason).splitlines()[0]})" if reason else ""
    raise TypeError(
        f"{type(module).__name__}: no input was found on which its conversion could be checked{because}: "
        "pass example=, an input (N, C, ...) that it takes"
    )


def _shapes(converted: nn.Module) -> Iterator[tuple[int, ...]]:
    """Input shapes to try: of channels that the layers state, then of others; short, then longer."""
    dims = count_axes(converted)
    stated = [getattr(layer, name, None) for _, layer in leaves(converted) for name in STATED]
    known = [n for n in stated if isinstance(n, int) and n > 1]
    for factor, count in itertools.product((1, 8, 64), [dims] if dims else (1, 2, 3)):
        lengths = [_length(converted, axis, factor) for axis in range(count)]
        for channels in dict.fromkeys((*known[:1], *CHANNELS, *known)):
            try:
                output_channels(converted, channels)
            except ValueError:
                continue
            shape = (2, channels, *lengths)
            if factor == 1 or math.prod(shape) <= MOST_NUMBERS:
                yield shape


def _length(converted: nn.Module, axis: int, factor: int) -> int:
    """Steps along an axis that give some outputs, in whole blocks of the strides."""
    along = axis_map(converted, axis)
    wanted = factor * (OUTPUTS if axis == 0 else OUTPUTS // 3)
    length = math.lcm(along.input_period, 2 if along.input_period < OUTPUTS else 1)
    while length < MOST_STEPS:
        try:
            if along.output_length(length) >= wanted and length >= wanted:
                break
        except ValueError:  # branches that a longer input may bring together
            pass
        length += max(1, length // (2 * along.input_period)) * along.input_period
    return length


def _in_chunks(converted: nn.Module, x: Tensor) -> Tensor:
    """Streamed along axis 0: a step, nothing, two steps, a half of the rest, the rest."""
    length = x.shape[2]
    cuts = [0, *sorted(min(length, n) for n in (1, 1, 3, (3 + length) // 2)), length]
    return run_chunks(converted, (x[:, :, a:b].clone() for a, b in itertools.pairwise(cuts)))


def _compare(ours: Tensor, whole: Tensor, name: str, how: str) -> None:
    said = f"{name}: its conversion, {how}, gives"
    hint = "; a block of your own is made known with mediaconv.nn.register_residual or register_converter"
    if ours.shape != whole.shape:
        raise TypeError(f"{said} shape {tuple(ours.shape)}, the model {tuple(whole.shape)}{hint}")
    finite = whole.isfinite()
    if not bool(finite.any()):
        return
    error = float((ours - whole)[finite].abs().max())
    largest = float(whole[finite].abs().max())
    if not error <= TOLERANCES.get(whole.dtype, COARSE) * largest:
        raise TypeError(f"{said} other values than the model, by {error:.3g} of {largest:.3g}{hint}")
