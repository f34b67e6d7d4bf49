"""Random weights from a seed: the same on every machine, whatever the device, the type or the cores.

Each parameter has a generator of its own, seeded by the seed and the parameter's name, so a layer more or
less elsewhere changes nothing. Numbers are drawn on the CPU in float64 and rounded to float32 before they
take the parameter's type: what a machine's arithmetic does to the last bits of a float64 is rounded away.
Weights from files are in `mediaconv.model.weights`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.config.section import parse_options
from mediaconv.errors import UsageError
from mediaconv.layers.keys.initializers import INITIALIZERS

_DETERMINISTIC = ("constant", "ones", "zeros", "dirac")
"""Initializers of `INITIALIZERS` that draw nothing: torch's functions take no generator."""


def generator_for(seed: int, name: str) -> torch.Generator:
    """The generator of one parameter: a stable hash of the seed and the parameter's name.

    >>> a, b = generator_for(0, "0.weight"), generator_for(0, "1.weight")
    >>> a.initial_seed() == b.initial_seed()
    False
    """
    digest = hashlib.blake2b(f"{seed}:{name}".encode(), digest_size=8).digest()
    return torch.Generator(device="cpu").manual_seed(int.from_bytes(digest, "big") >> 1)


@torch.no_grad()
def initialize(
    parameter: Tensor, name: str, options: Mapping[str, Any] | None, generator: torch.Generator
) -> None:
    """Fill a parameter, in place, by one of torch.nn.init's functions.

    name: without the underscore at the end, a key of `mediaconv.layers.keys.initializers.INITIALIZERS`.
    options: the arguments of torch's function, by its names.
    generator: on the CPU; see `generator_for`.
    Raises UsageError: unknown name or option, a parameter of too few axes, numbers that are not finite.
    """
    arguments = dict(parse_options(name, options, INITIALIZERS, "initializer", key="init"))
    drawn = torch.empty(parameter.shape, dtype=torch.float64)
    if name not in _DETERMINISTIC:
        arguments["generator"] = generator
    try:
        getattr(torch.nn.init, f"{name}_")(drawn, **arguments)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"init: {name} cannot fill a shape of {list(parameter.shape)}: {reason}") from error
    values = drawn.float().to(parameter.dtype)
    if not torch.isfinite(values).all():
        raise UsageError(f"init: {name} with {dict(options or {})} gives numbers that are not finite")
    parameter.copy_(values)


@torch.no_grad()
def seed_parameters(module: nn.Module, seed: int) -> None:
    """Draw all random parameters of a stack, in place, as torch's layers do by default.

    A convolution's weight and bias are uniform within 1/sqrt(fan_in) (torch's own default: He et al. 2015
    with a = sqrt(5)). What a layer sets to one value throughout (a norm's ones and zeros, PReLU's 0.25,
    offsets of 0) is not random and stays, as does what is marked `trained`: a model from a file. A causal
    layer gets its standard twin's numbers, then its mask.
    """
    trained = [path for path, layer in module.named_modules() if getattr(layer, "trained", False)]
    for path, layer in module.named_modules():
        if any(path == root or path.startswith(f"{root}.") for root in trained):
            continue
        weight = getattr(layer, "weight", None)
        for own, parameter in layer.named_parameters(recurse=False):
            if not _is_random(layer, parameter):
                continue
            generator = generator_for(seed, f"{path}.{own}" if path else own)
            shaped = weight if parameter.ndim < 2 and isinstance(weight, Tensor) else parameter
            bound = 1 / math.sqrt(_fan_in(shaped))
            initialize(parameter, "uniform", {"a": -bound, "b": bound}, generator)
        apply_mask(layer)


@torch.no_grad()
def write_numbers(parameter: Tensor, numbers: Sequence[Any]) -> None:
    """Copy nested numbers into a parameter of their shape."""
    parameter.copy_(torch.tensor(numbers, dtype=torch.float64))


@torch.no_grad()
def apply_mask(layer: nn.Module) -> None:
    """Set the masked taps of a causal layer's weight to zero; any other layer stays as it is."""
    masked_weight = getattr(layer, "masked_weight", None)
    if masked_weight is not None:
        layer.weight.copy_(masked_weight())  # type: ignore[operator, union-attr]


def _is_random(layer: nn.Module, parameter: Tensor) -> bool:
    """Whether a layer draws this parameter: not all zeros, nor, outside convolutions, all one value."""
    if not parameter.numel() or not parameter.is_floating_point():
        return False
    first = parameter.flatten()[0]
    if isinstance(layer, nn.modules.conv._ConvNd | nn.Linear):
        return not bool((parameter == 0).all())
    return not bool((parameter == first).all())


def _fan_in(weight: Tensor) -> int:
    """Inputs of one output, as torch counts them."""
    return max(1, math.prod(weight.shape[1:]))
