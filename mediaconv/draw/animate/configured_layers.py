"""The animation of a layer of a configuration: its own weights, over a file or over small whole numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mediaconv.config import RunConfig
from mediaconv.draw.animate.animation import Animation, animate
from mediaconv.draw.animate.distinct_input import distinct_input
from mediaconv.draw.animate.made_layers import LENGTHS, fill_weights
from mediaconv.draw.animate.model_convolutions import convolution_named, has_own_layer
from mediaconv.draw.sliding.part import MOST
from mediaconv.draw.subject import Subject, input_of, layer_named, subject
from mediaconv.layers.construct import iter_bound_layers


def animate_config(
    config: RunConfig,
    *,
    layer: str | None = None,
    input: Path | None = None,
    beside: RunConfig | None = None,
    at: Sequence[int] | None = None,
    **options: Any,
) -> Animation:
    """A layer of the configuration's stack sliding over what reaches it from a file, or over digits.

    layer: number or dotted name, also of a convolution inside of a model; the first convolution by default.
    beside: a configuration whose layer of
    the same name is drawn beside it. at, options: as `animate` takes them. Raises UsageError, ReadError.
    """
    made = _subject(config, input, at)
    name, module, given = _drawn(made, layer)
    other = None
    if beside is not None:
        other = _drawn(_subject(beside, input, at), name)[1]
    where = f"layer {name} of {len(made.stack)}"
    notes = (f"{where}, over {made.notes[0]}" if made.notes else f"{where}, over made-up whole numbers",)
    if made.x is None and _weights_are_random(made, name):
        notes = (f"{where}, with made-up whole numbers as weights and input",)
        for each in (module, other):
            if each is not None:
                fill_weights(each)
    x = _layer_input(made, module) if given is None or made.x is None else given
    return animate(module, x, beside=other, at=at, notes=notes, **options)


def _drawn(made: Subject, layer: str | None) -> tuple[str, nn.Module, Tensor | None]:
    """What is drawn and its name; of a convolution inside of a captured model also what comes into it."""
    if has_own_layer(made.stack, layer):
        return *layer_named(made.stack, layer), None
    return convolution_named(made, layer)


def _weights_are_random(made: Subject, name: str) -> bool:
    """Whether nothing in the configuration says which weights the layer has."""
    if made.config.weights is not None:
        return False
    specs = {bound.name: bound.spec for bound in iter_bound_layers(made.config.stack, made.stack)}
    spec = specs.get(name)
    keys = ("kernel", "weight", "init", "bias_init")
    return spec is not None and spec.name != "model" and not any(getattr(spec, key, None) for key in keys)


def _subject(config: RunConfig, input: Path | None, at: Sequence[int] | None) -> Subject:
    from mediaconv.pipeline import find

    dims = len(find(config.pipeline).axes)
    starts = [0] * dims if at is None else [max(0, n) for n in at][:dims]
    starts += [0] * (dims - len(starts))
    return subject(config, input=input, lengths=[start + 2 * MOST[dims] for start in starts])


def _layer_input(made: Subject, module: nn.Module) -> Tensor:
    if made.x is not None:
        return input_of(made.stack, module, made.x)
    dims = len(module.kernel_size)  # type: ignore[arg-type]
    kernel = [(k - 1) * d + 1 for k, d in zip(module.kernel_size, module.dilation, strict=True)]  # type: ignore[arg-type]
    lengths = [max(n, 2 * e) if dims == 1 else max(n, e) for n, e in zip(LENGTHS[dims], kernel, strict=True)]
    return distinct_input(module, lengths)
