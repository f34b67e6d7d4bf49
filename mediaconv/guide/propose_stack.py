"""A stack that fits a file of weights: layers by key and shape, in the file's order; unknowns are marked.

A state_dict is in the order of the module's definition, which files sorted by name have lost. It holds no
order of computing, no strides and no activations: the proposal is a beginning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaconv.errors import UsageError
from mediaconv.guide.yaml_text import flow

if TYPE_CHECKING:
    from torch import Tensor

MODELS = (".onnx", ".pt2")
WEIGHTS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
_DIGITS = 3
"""Of a layer's number in a key: a configuration holds at most a thousand layers."""
_STATS = ("running_mean", "running_var")
_OTHER_NORMS = (
    "; UNKNOWN: which norm is it? group_norm: {num_groups: 32} and instance_norm have such weights, too"
)


@dataclass
class Proposal:
    """A stack and how a configuration writes it.

    dims: axes that its convolutions have, None where no key tells. in_channels: of the first layer.
    weights: the file that the stack reads. renamed: its tensors by the stack's own keys, where they differ.
    input_shape: what a model file states of its input, with the batch; None where a size is free.
    """

    stack: list[Any]
    lines: list[str]
    dims: int | None = None
    in_channels: int | None = None
    weights: str | None = None
    renamed: dict[str, Tensor] | None = None
    unknown: list[str] = field(default_factory=list)
    input_shape: tuple[int | None, ...] | None = None


def propose_stack(path: Path, kind: str) -> Proposal:
    """The proposal for a model file or for weights. kind: the pipeline. Raises UsageError."""
    if path.suffix.lower() in MODELS:
        if not path.is_file():
            raise UsageError(f"from: {path}: no such file")
        from mediaconv.guide.model_layer import model_layer

        layer = model_layer(str(path), kind=kind)
        line = f"  - model: {flow(layer.options)}   # {layer.comment}"
        return Proposal([{"model": layer.options}], ["stack:", line], input_shape=layer.shape)
    from mediaconv.model.weights import load_weights, only_key

    key = only_key(path)
    made = from_state(load_weights(path, key=key), str(path))
    if (
        key is not None and made.weights is not None
    ):  # the file beside the configuration holds them at its top
        made.weights, made.renamed = None, load_weights(path, key=key)
    return made


def from_state(state: Mapping[str, Tensor], path: str) -> Proposal:
    """Layers by the names before the last dot, in the state's order; in natural order where it is sorted."""
    groups: dict[str, dict[str, Tensor]] = {}
    keys = list(state)
    for key in sorted(keys, key=_natural) if keys == sorted(keys) else keys:
        layer, _, name = key.rpartition(".")
        groups.setdefault(layer, {})[name] = state[key]
    made = Proposal([], ["stack:   # by keys and shapes of the weights; check strides, padding and order"])
    renamed: dict[str, Tensor] = {}
    channels: int | None = None
    before = ""
    for layer, tensors in groups.items():
        shapes = ", ".join(f"{name} {list(t.shape)}" for name, t in tensors.items())
        proposed = _layer(tensors, channels)
        if proposed is None:
            made.unknown.append(layer)
            made.lines.append(f"  # UNKNOWN: {_comment(layer)}: {shapes}")
            continue
        name, options, into, out, dims = proposed
        if dims is not None and made.dims not in (None, dims):
            made.unknown.append(layer)
            made.lines.append(f"  # UNKNOWN: {_comment(layer)} has {dims} axes, not {made.dims}: {shapes}")
            continue
        made.dims = dims or made.dims
        for gap in _gap(before, layer):
            made.stack.append("relu")
            made.lines.append(f"  - relu   # UNKNOWN: layer {gap} has no weights: which activation is it?")
        before = layer
        made.stack.append({name: options})
        said = _comment(layer or "the whole file") + (_OTHER_NORMS if name == "layer_norm" else "")
        made.lines.append(f"  - {name}: {flow(options)}   # {said}")
        renamed |= {f"{len(made.stack) - 1}.{key}": tensor for key, tensor in tensors.items()}
        made.in_channels = made.in_channels or into
        channels = out
    if not made.stack:
        raise UsageError(f"from: {path}: no layer can be told by its keys: {', '.join(list(state)[:5])} ...")
    if set(renamed) == set(state):
        made.weights = path
    else:
        made.renamed = renamed
    return made


def _gap(before: str, layer: str) -> list[str]:
    """Names of layers between two that are numbered alike: they have no weights.

    >>> _gap("enc.1", "enc.4"), _gap("", "1"), _gap("enc.1", "dec.4")
    (['enc.2', 'enc.3'], ['0'], [])
    """
    (first, dot, last), (head, _, tail) = before.rpartition("."), layer.rpartition(".")
    if not tail.isdecimal() or len(tail) > _DIGITS or first != head or (before and not last.isdecimal()):
        return []
    if not before:
        return [str(number) for number in range(int(tail))]
    return (
        [f"{head}{dot}{number}" for number in range(int(last) + 1, int(tail))] if len(last) <= _DIGITS else []
    )


def _layer(
    tensors: Mapping[str, Tensor], channels: int | None
) -> tuple[str, dict[str, Any], int | None, int, int | None] | None:
    """Name, options, channels in and out, and axes of a layer; None where it cannot be told."""
    weight, bias = tensors.get("weight"), tensors.get("bias")
    names = set(tensors) - {"num_batches_tracked"}
    if weight is None or not names <= {"weight", "bias", *_STATS}:
        return None
    if set(_STATS) <= names:
        return "batch_norm", {}, None, len(weight), None
    if names & set(_STATS) or not weight.is_floating_point():
        return None
    if weight.ndim == 1:
        return _norm_or_prelu(weight, bias, channels)
    if not 3 <= weight.ndim <= 5:
        return None
    return _convolution(weight, bias, channels)


def _norm_or_prelu(
    weight: Tensor, bias: Tensor | None, channels: int | None
) -> tuple[str, dict[str, Any], int | None, int, int | None] | None:
    count = len(weight)
    if bias is not None and channels in (None, count):
        return "layer_norm", {}, None, count, None
    if bias is None and count in (1, channels):
        return "prelu", {"num_parameters": count}, None, channels or count, None
    return None


def _convolution(
    weight: Tensor, bias: Tensor | None, channels: int | None
) -> tuple[str, dict[str, Any], int | None, int, int | None] | None:
    """A convolution has (out, in / groups, ...), a transposed one (in, out / groups, ...)."""
    first, second, *sizes = weight.shape
    kernel = sizes[0] if len(set(sizes)) == 1 else list(sizes)
    options: dict[str, Any] = {"kernel_size": kernel}
    transposed = first != second and (
        (bias is not None and len(bias) == second) or (bias is None and channels == first)
    )
    if bias is not None and len(bias) not in ((second,) if transposed else (first,)):
        return None
    into, out = (first, second) if transposed else (second, first)
    groups = 1
    if not transposed and channels is not None and channels != into:
        if channels % into or out % (channels // into):
            return None
        groups, into = channels // into, channels
    if transposed and channels not in (None, into):
        return None
    options = {"in_channels": into, "out_channels": out, **options}
    if groups != 1:
        options["groups"] = groups
    if bias is None:
        options["bias"] = False
    return ("conv_transpose" if transposed else "conv"), options, into, out, len(sizes)


def _natural(key: str) -> list[tuple[int, int, str]]:
    """Numbers in a name by their value: `layers.2.weight` before `layers.10.weight`."""
    return [
        (0, int(part), "") if part.isdecimal() and len(part) < 19 else (1, 0, part)
        for part in re.split(r"(\d+)", key)
        if part
    ]


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
