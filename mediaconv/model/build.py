"""A configuration's stack as one module with its weights: seeded, named, inline or from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mediaconv.nn as mnn
from mediaconv.config import RunConfig, walk
from mediaconv.config import layers as specs
from mediaconv.config.convolutions import ConvKeys
from mediaconv.config.layer import LayerSpec
from mediaconv.config.run_config import render
from mediaconv.errors import UsageError
from mediaconv.layers.construct import Place, build_sequence
from mediaconv.layers.filters.fill import fill_kernel
from mediaconv.model.initializers import apply_mask, generator_for, initialize, seed_parameters
from mediaconv.model.weights import apply_weights, load_weights
from mediaconv.nn.streaming.protocol import axis_map
from mediaconv.pipeline import Pipeline


def build_stack(
    config: RunConfig, pipeline: Pipeline, *, channels: int, rate_hz: float | None = None
) -> mnn.Sequential:
    """The stack of a configuration for inputs of `channels`, in evaluation mode, float32, on the CPU.

    rate_hz: steps of the stream axis a second, for kernels given in Hz.
    Raises UsageError where layers do not fit each other, the input's channels or the weights.
    """
    try:
        return _built(config, pipeline, channels, rate_hz)
    except UsageError as error:
        raise UsageError(config.placed(str(error))) from error


def _built(config: RunConfig, pipeline: Pipeline, channels: int, rate_hz: float | None) -> mnn.Sequential:
    place = Place(
        channels=channels,
        dims=len(pipeline.axes),
        causal=config.causality(),
        causal_mode=pipeline.causal_mode,
    )
    stack = build_sequence(config.stack, place)
    seed_parameters(stack, config.seed)
    laid_out = laid_layers(config.stack, stack, rate_hz=rate_hz)
    for (path, spec), laid in zip(walk(config.stack), laid_out, strict=True):
        if isinstance(spec, ConvKeys):
            try:
                _named_weights(laid, config.seed)
            except UsageError as error:
                raise UsageError(f"{render(path)}.{spec.name}: {error}") from error
    if config.weights is not None:
        apply_weights(stack, load_weights(Path(config.weights)), config.weights)
    return stack.eval()


@dataclass(frozen=True)
class LaidLayer:
    """A layer where it lies in a stack.

    name: of its module in the stack ("1.layers.0"). rate_hz: steps of the stream axis a second at its input.
    """

    spec: LayerSpec
    module: nn.Module
    name: str
    rate_hz: float | None


def laid_layers(
    layers: Sequence[LayerSpec], modules: nn.Module, *, prefix: str = "", rate_hz: float | None = None
) -> Iterator[LaidLayer]:
    """Every layer with its module, those inside a residual or a branch after the one that holds them."""
    for spec, (key, module) in zip(layers, modules.named_children(), strict=True):
        name = prefix + key
        yield LaidLayer(spec, module, name, rate_hz)
        for inner, path, part in _inside(spec, module):
            yield from laid_layers(inner, path, prefix=f"{name}.{part}.", rate_hz=rate_hz)
        if rate_hz is not None:
            rate_hz /= float(axis_map(module).stride)


def _inside(spec: LayerSpec, module: nn.Module) -> Iterator[tuple[Sequence[LayerSpec], nn.Module, str]]:
    if isinstance(spec, specs.Residual) and isinstance(module, mnn.Residual):
        yield spec.layers, module.layers, "layers"
        if spec.shortcut:
            yield spec.shortcut, module.shortcut, "shortcut"
    if isinstance(spec, specs.Branches) and isinstance(module, mnn.Branches):
        for i, (path, inner) in enumerate(zip(spec.paths, module.branches, strict=True)):
            yield path, inner, f"branches.{i}"


@torch.no_grad()
def _named_weights(laid: LaidLayer, seed: int) -> None:
    """What the layer's own keys say of its weights: a well-known kernel, an initializer, or numbers."""
    spec: Any = laid.spec
    module: Any = laid.module
    name = laid.name
    if isinstance(module, mnn.Gate):
        return
    if isinstance(module, mnn.Gated):
        module, name = module.conv, f"{name}.conv"
    if isinstance(spec, specs.Conv) and spec.kernel is not None:
        fill_kernel(module, spec.kernel, rate_hz=laid.rate_hz)
    if spec.init is not None:
        drawn = generator_for(seed, f"{name}.weight")
        initialize(module.weight, spec.init.name, spec.init.options, drawn)
    if spec.weight is not None:
        module.weight.copy_(torch.tensor(spec.weight, dtype=torch.float64))
    apply_mask(module)
    if isinstance(spec.bias, tuple):
        module.bias.copy_(torch.tensor(spec.bias, dtype=torch.float64))
