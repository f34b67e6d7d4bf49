"""From a torch model to the layers of this package: same parameters, same keys, and it streams.

Only layers that are known are converted; anything else is an error that names it. Blocks with a forward of
their own become known by being registered, never by guessing.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from mediaconv.nn.conversion_check import check_conversion
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.known_modules import KNOWN, Converter
from mediaconv.nn.layers.containers import Branches, Residual, Sequential
from mediaconv.nn.layers.gates import Gated
from mediaconv.nn.model_layout import ModelLayout
from mediaconv.nn.streaming.protocol import (
    POINTWISE,
    Streamable,
    TotalStride,
    each_child,
    is_pointwise,
    output_channels,
    parts_of,
    unknown_layer,
)
from mediaconv.nn.streaming.state import State


def to_streaming(
    module: nn.Module,
    *,
    example: Tensor | None = None,
    axis: int = 0,
    output: str | int | None = None,
    causal: bool = False,
    hold: bool = False,
    length: int | None = None,
    axes: str | None = None,
) -> nn.Module:
    """A torch model as one that streams: it shares the parameters and has the same `state_dict` keys.

    What is converted is checked once: both run on one input, the result also in chunks, in eval mode.
    example: that input, (N, C, ...); by default noise of a shape that the model takes. With it a model of
        anything else, or a `torch.export.ExportedProgram`, is captured as a graph of its operations along
        `axis` (after the channels), and checked in chunks against itself. Norms, means and recurrences over
        all of the axis are held to the end, with a line in the result's `notes`.
    output: which tensor of a captured model's result, by name or number, where it has several.
    causal: refuse a captured model in which anything needs the whole input.
    hold: compute at the end whatever else cannot stream (attention over time without a bound, a Fourier
        transform along it), with all that follows from it, and note each reason: exact, and as large as the
        model itself. Otherwise such a model is refused. Not with `causal`.
    length: steps that the whole input will have along `axis`. A captured model whose padding in front follows
        from the length (TensorFlow's SAME under a stride) needs it, or one of the same remainder: the result
        is for such lengths then, and `for_length` gives it for others.
    axes: what a captured model takes and gives, where that is not (N, C, ...): `n t c`, `n t` (one channel
        without an axis), `n c t -> n t c` (what it takes, what it gives), `t c h w` (frames as a batch), as
        `axes` in a configuration. The result takes and gives (N, C, ...), and `example` is such an input;
        after the channels come `t`, then the other axes as they stand.

    Knows Sequential, ConvNd, ConvTransposeNd, batch, group and instance norms, pooling, padding, Upsample by
    whole factors, pixel and channel shuffle, pointwise activations, dropout, this package's own layers, and
    blocks registered with `register_residual` or `register_converter`. The training mode is the model's.
    Raises TypeError naming the path and class of a layer that it does not know, or cannot stream exactly, and
    for a conversion that gives other values than the model.

    >>> model = nn.Sequential(nn.Conv1d(1, 4, 3, padding="same"), nn.ReLU(), nn.MaxPool1d(2))
    >>> to_streaming(model).latency
    2
    """
    if causal and hold:
        raise ValueError("causal and hold: what is held to the end is not causal; leave one of them out")
    layout = None if axes is None else _layout(axes, module, example, axis)
    made = _made(module, example, axis, output, causal, layout, hold=hold)
    return made if length is None else for_length(made, length)


def _layout(axes: str, module: Any, example: Tensor | None, axis: int) -> ModelLayout | None:
    from mediaconv.nn.graph.capture.stated_layout import layout_of

    return layout_of(axes, module, example, axis)


def _made(
    module: Any,
    example: Tensor | None,
    axis: int,
    output: str | int | None,
    causal: bool,
    layout: ModelLayout | None,
    *,
    hold: bool,
) -> nn.Module:
    if not isinstance(module, nn.Module) or layout is not None:
        return _captured(module, example, axis, output, causal, layout=layout, hold=hold)
    try:
        converted = convert(module)
    except TypeError:
        if example is None:
            raise
        return _captured(module, example, axis, output, causal, hold=hold)
    if converted is not module or unchecked(converted):
        check_conversion(module, converted, example)
        _CHECKED.update(_declared(converted))
    return converted


_DECLARED: set[type[nn.Module]] = set()
"""Classes that were registered as pointwise: what a user declares is checked."""
_CHECKED: weakref.WeakSet[nn.Module] = weakref.WeakSet()
"""Modules of such classes that passed a check."""


def _declared(module: nn.Module) -> list[nn.Module]:
    return [part for part in module.modules() if type(part) in _DECLARED]


def unchecked(module: nn.Module) -> bool:
    """Whether a module has a part that was declared to be pointwise and passed no check yet."""
    return bool(_DECLARED) and any(part not in _CHECKED for part in _declared(module))


def for_length(module: nn.Module, length: int) -> nn.Module:
    """A streaming module for inputs of so many steps: a captured model whose padding in front, or whose way,
    follows from the length as it is for this one. Others are the same at every length. Weights are shared.

    Raises ValueError where the model was not captured for such lengths and cannot be.
    """
    if not hasattr(module, "at_phase"):
        return module
    from mediaconv.nn.graph import entry

    return entry.for_length(module, length)  # type: ignore[arg-type]


def _captured(module: Any, *arguments: Any, **options: Any) -> nn.Module:
    from mediaconv.nn.graph.entry import streaming_graph  # torch.export is loaded where it is used

    return streaming_graph(module, *arguments, **options)


def register_converter(kind: type[nn.Module], converter: Converter) -> None:
    """Declare how a class of module is converted.

    converter: called with the module and its path; gives a streaming module over the same parameters, whose
        keys are the same. It may call `to_streaming` on parts.
    """
    _check_kind(kind)
    CONVERTERS[kind] = converter


def register_residual(
    kind: type[nn.Module], *, layers: Sequence[str], shortcut: str | None = None, after: Sequence[str] = ()
) -> None:
    """Declare a class of residual block: `after(layers(x) + shortcut(x))`.

    layers, after: names of the block's attributes, in the order in which its forward calls them.
    shortcut: name of the attribute that is added; the input itself where it is None, here or in the block.

    For torchvision's BasicBlock: `layers=("conv1", "bn1", "relu", "conv2", "bn2"), shortcut="downsample",
    after=("relu",)`.
    """
    _check_kind(kind)
    _check_names(layers)

    def converter(block: nn.Module, path: str) -> nn.Module:
        return RegisteredResidual(block, path, layers, shortcut, after)

    CONVERTERS[kind] = converter


def register_chain(kind: type[nn.Module], *, layers: Sequence[str]) -> None:
    """Declare a class of block whose forward calls its layers one after the other.

    layers: names of the block's attributes, in the order in which its forward calls them.
    """
    _check_kind(kind)
    _check_names(layers)
    CONVERTERS[kind] = lambda block, path: RegisteredResidual(block, path, layers, None, (), adds=False)


def register_pointwise(kind: type[nn.Module]) -> None:
    """Declare a class of module whose output at a position reads the input at that position alone."""
    _check_kind(kind)
    POINTWISE[kind] = None
    _DECLARED.add(kind)


def _check_kind(kind: type[nn.Module]) -> None:
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise TypeError(f"got {kind!r}, expected a class of torch.nn.Module")


def _check_names(layers: Sequence[str]) -> None:
    if isinstance(layers, str):
        raise TypeError(f"layers: got {layers!r}, expected several names, as ({layers!r},)")
    if not layers:
        raise ValueError("layers: got none, expected the names of the block's layers in order")


class RegisteredResidual(TotalStride, nn.Module):
    """A converted block, residual where it `adds`; its children keep the names that they have in it."""

    def __init__(
        self,
        block: nn.Module,
        path: str,
        layers: Sequence[str],
        shortcut: str | None,
        after: Sequence[str],
        *,
        adds: bool = True,
    ) -> None:
        super().__init__()
        self.training = block.training
        used = [*layers, *([shortcut] if shortcut else []), *after]
        for name in dict.fromkeys(used):
            if not hasattr(block, name):
                children = ", ".join(n for n, _ in each_child(block))
                raise ValueError(
                    f"it has no {name!r}, which its registration names; its layers are {children}"
                )
            child = getattr(block, name)
            self.add_module(name, None if child is None else convert(child, _join(path, name)))
        unused = sorted(name for name, _ in each_child(block) if name not in used)
        if unused:
            raise TypeError(
                f"{path or 'model'}: {type(block).__name__} has layers that its registration does not name: "
                f"{', '.join(unused)}"
            )
        calls = [(name, getattr(self, name)) for name in used]
        self.__dict__["_calls"] = [(name, child) for name, child in calls if child is not None]
        inner = Sequential(*(getattr(self, name) for name in layers))
        body = Residual(inner, getattr(self, shortcut) if shortcut else None) if adds else inner
        # containers over the same children, beside the registered ones, so that keys stay the block's
        self.__dict__["_body"] = Sequential(body, *(getattr(self, name) for name in after))

    def parts(self) -> Iterator[tuple[str, nn.Module]]:
        return iter(self.__dict__["_calls"])

    def forward(self, x: Tensor) -> Tensor:
        """Shape: (N, C, ...) to (N, C', ...')."""
        return self.__dict__["_body"](x)

    def axis_map(self, axis: int) -> AxisMap:
        return self.__dict__["_body"].axis_map(axis)

    def output_channels(self, channels: int) -> int:
        return output_channels(self.__dict__["_body"], channels)

    def init_state(self, axis: int) -> State:
        return self.__dict__["_body"].init_state(axis)

    def step(self, x: Tensor, state: State, *, axis: int, last: bool) -> Tensor:
        return self.__dict__["_body"].step(x, state, axis=axis, last=last)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def convert(module: nn.Module, path: str = "") -> nn.Module:
    """As `to_streaming`, without the check: to ask what a model reads, not for its values.

    path: its place in the model, for messages.
    """
    converter = CONVERTERS.get(type(module))
    as_it_is = isinstance(module, Streamable) or is_pointwise(module)
    if converter is None and not as_it_is:
        raise unknown_layer(module, path)
    if converter is None:
        check_unchanged(module, path)
        return module
    _check_own(module, path)
    try:
        converted = converter(module, path)
    except ValueError as problem:
        raise TypeError(f"{path or 'model'}: {type(module).__name__} cannot stream: {problem}") from None
    if not isinstance(converted, nn.Module):
        raise TypeError(
            f"{path or 'model'}: the converter of {type(module).__name__} gave a {type(converted).__name__}, "
            "expected a module that streams"
        )
    converted.training = module.training  # of this module alone: its children have their own
    ours, theirs = set(converted.state_dict()), set(module.state_dict())
    if ours != theirs:
        raise TypeError(
            f"{path or 'model'}: the converter of {type(module).__name__} changed the keys: "
            f"{', '.join(sorted(ours ^ theirs))}"
        )
    return converted


def check_unchanged(module: nn.Module, path: str = "") -> None:
    """Raise TypeError for hooks, or a method that was replaced, on a module that streams or a part of it.

    A stream calls the steps of such modules, which know of neither.
    """
    _check_own(module, path, streams=True)
    for name, part in parts_of(module):
        check_unchanged(part, _join(path, name))


def _check_own(module: nn.Module, path: str, *, streams: bool = False) -> None:
    kind = type(module)
    changes = ""
    if module._forward_hooks or module._forward_pre_hooks:
        changes = "hooks"
    elif hasattr(module, "parametrizations") and not streams:  # its step reads the weight that they make
        changes = "parametrizations"
    for name, value in vars(module).items():
        if callable(value) and inspect.isfunction(getattr(kind, name, None)):
            changes = f"a {name} of its own"
    if changes:
        raise TypeError(
            f"{path or 'model'}: {kind.__name__} has {changes}, which its stream would lose: remove that "
            "first, or pass example=, an input (N, C, ...): the module is then captured as it is"
        )


def _sequential(module: nn.Sequential, path: str) -> nn.Module:
    converted = Sequential()
    converted.training = module.training
    for name, child in each_child(module):
        converted.add_module(name, convert(child, _join(path, name)))
    return converted


def _branches(module: Branches, path: str) -> nn.Module:
    paths = (convert(b, _join(path, f"branches.{i}")) for i, b in enumerate(module.branches))
    return Branches(paths, module.merge)


def _residual(module: Residual, path: str) -> nn.Module:
    layers, shortcut = (convert(getattr(module, n), _join(path, n)) for n in ("layers", "shortcut"))
    return Residual(layers, shortcut)


CONVERTERS: dict[type[nn.Module], Converter] = {
    nn.Sequential: _sequential,
    Sequential: _sequential,
    Branches: _branches,
    Residual: _residual,
    Gated: lambda module, path: Gated(convert(module.conv, _join(path, "conv"))),
    **KNOWN,
}
"""How each class of module is converted; matched exactly, since a subclass may compute something else."""
