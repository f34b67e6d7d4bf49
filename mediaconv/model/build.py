"""A configuration's stack as one module with its weights: seeded, named, inline or from a file."""

from __future__ import annotations

import mediaconv.nn as mnn
from mediaconv.config import RunConfig
from mediaconv.config.run_config import render
from mediaconv.config.validation_context import ValidationContext
from mediaconv.errors import UsageError
from mediaconv.layers import BuildContext, walk
from mediaconv.layers.construct import build_sequence, iter_bound_layers
from mediaconv.layers.keys.random_weights import seed_parameters
from mediaconv.layers.memory_budget import MemoryBudget, Signal
from mediaconv.model.weights import apply_weights, load_weights
from mediaconv.pipeline import Pipeline


def build_stack(
    config: RunConfig,
    pipeline: Pipeline,
    *,
    channels: int,
    rate_hz: float | None = None,
    shape: tuple[int | None, ...] | None = None,
) -> mnn.Sequential:
    """The stack of a configuration for inputs of `channels`, in evaluation mode, on the CPU, in float32,
    or in float64 where the configuration says so.

    rate_hz: steps of the stream axis a second, for kernels given in Hz.
    shape: length of the input along each axis, where it is known, to tell what the stack will hold.
    Raises UsageError where layers do not fit each other, the input's channels or the weights.
    """
    try:
        return _built(config, pipeline, Signal.of(channels, shape or (None,) * len(pipeline.axes)), rate_hz)
    except UsageError as error:
        raise UsageError(config.placed(str(error))) from error


def _built(config: RunConfig, pipeline: Pipeline, signal: Signal, rate_hz: float | None) -> mnn.Sequential:
    file = ValidationContext.of(pipeline, causal=config.causal, time_axis=config.time_axis)
    limit = config.limits.max_memory
    budget = MemoryBudget() if limit is None else MemoryBudget(limit)
    stack = build_sequence(config.stack, BuildContext(signal, file, budget))
    budget.add_outputs(signal.after(stack))
    if config.precision == "float64":  # before numbers are written, which would be rounded
        stack.double()
    seed_parameters(stack, config.seed)
    bound_layers = iter_bound_layers(config.stack, stack, rate_hz=rate_hz)
    for (path, spec), bound in zip(walk(config.stack), bound_layers, strict=True):
        try:
            spec.set_weights(bound.module, name=bound.name, seed=config.seed, rate_hz=bound.rate_hz)
        except UsageError as error:
            raise UsageError(f"{render(path)}.{spec.name}: {error}") from error
    if config.weights is not None:
        weights = config.weights
        state = load_weights(weights.file, key=weights.key, prefix=weights.prefix)
        apply_weights(stack, state, weights.file, strict=weights.strict)
    return stack.eval()
