"""Which step of fixed shape each layer of this package becomes, and which has none."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mediaconv.nn.composed_maps import IDENTITY
from mediaconv.nn.convert import RegisteredResidual
from mediaconv.nn.export.fixed import (
    INSIDE,
    FixedBranches,
    FixedChain,
    FixedLayer,
    FixedPointwise,
    Level,
)
from mediaconv.nn.export.fixed_graph import FixedGraph
from mediaconv.nn.export.fixed_window import FixedTransposed, FixedWindow
from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.layers.containers import Branches, Sequential
from mediaconv.nn.layers.gates import Gated
from mediaconv.nn.layers.resample import Resample
from mediaconv.nn.layers.reshape import Reshape
from mediaconv.nn.layers.resize import _Upsample
from mediaconv.nn.layers.transposed import _ConvTranspose
from mediaconv.nn.streaming.protocol import axis_map, init_state
from mediaconv.nn.streaming.window import Windowed


def fix(module: nn.Module, before: Level, path: str = "", axis: int = 0) -> FixedLayer:
    """A module that streams as steps of fixed shape, given what comes in.

    axis: along which it streams; other than 0 for a layer of windows in a captured graph.

    Raises ValueError naming a layer that has no such step, as it reads the whole input.
    """
    where = path or type(module).__name__
    if axis:
        if not isinstance(module, Windowed) or isinstance(module, _Upsample | Resample | Reshape):
            raise ValueError(f"{where}: {type(module).__name__} along axis {axis} has no step of fixed shape")
        return _window(module, before, axis)
    if isinstance(module, Sequential):
        return _chain(list(module.parts()), before, path)
    if isinstance(module, Gated):
        return _chain([("conv", module.conv), ("gate", module.gate)], before, path)
    if isinstance(module, StreamingGraph):
        return FixedGraph(module, before, fix, where)
    if isinstance(module, RegisteredResidual):
        return fix(module.__dict__["_body"], before, path)
    if isinstance(module, Branches):
        names, modules = zip(*module.parts(), strict=True)
        paths = [fix(m, before, f"{path}.{n}".strip(".")) for n, m in zip(names, modules, strict=True)]
        return FixedBranches(names, paths, module.merge)
    if isinstance(module, _ConvTranspose):
        return FixedTransposed(module, before)
    if isinstance(module, Resample) and axis_map(module).total_stride != 1:
        return _resample(module, before)
    if isinstance(module, _Upsample) and module.windows[0].kernel > 1:
        return _upsample(module, before)
    if isinstance(module, Windowed) and not isinstance(module, _Upsample) and not axis_map(module, 0).whole:
        return _window(module, before)
    if axis_map(module, 0).whole:
        raise ValueError(
            f"{where}: {type(module).__name__} reads the whole input, so it has no step to export"
        )
    if _keeps_nothing(module):
        return FixedPointwise(module, before, int(1 / axis_map(module, 0).total_stride))
    raise ValueError(
        f"{where}: {type(module).__name__} streams by a step of its own, which has no fixed shape: build it "
        "of the layers of mediaconv.nn, or capture it: to_streaming(module, example=...)"
    )


def _keeps_nothing(module: nn.Module) -> bool:
    """Whether a layer is the same function in every step; other classes at one position."""
    state = init_state(module, 0)
    if state.counts or state.tensors or state.children:
        return False
    return is_known(module) or axis_map(module, 0) is IDENTITY


def is_known(module: nn.Module) -> bool:
    """Whether a layer is torch's or this package's, and not a class that somebody made of one."""
    return type(module).__module__.startswith(("torch.nn.", "mediaconv.nn."))


def only_known(module: nn.Module) -> bool:
    """Whether all layers are torch's or this package's, but for what a captured graph was made of."""
    inside = [] if isinstance(module, StreamingGraph) else list(module.children())
    return is_known(module) and all(only_known(part) for part in inside)


def _chain(parts: Sequence[tuple[str, nn.Module]], before: Level, path: str) -> FixedChain:
    layers: list[FixedLayer] = []
    for name, module in parts:
        layers.append(fix(module, before, f"{path}.{name}".strip(".")))
        before = layers[-1].out
    return FixedChain([name for name, _ in parts], layers, before)


def _window(layer: Windowed, before: Level, axis: int = 0) -> FixedWindow:
    window, inside = layer.windows[axis], INSIDE._replace(axis=axis)
    each = layer.outputs_of(inside, 1)

    def length(n: Tensor) -> Tensor:
        return before.length(n).div(window.stride, rounding_mode="floor") * each

    return FixedWindow(
        layer,  # type: ignore[arg-type]
        window,
        before,
        lambda x: layer.apply_windows(x, inside),
        mode=layer.padding_mode,
        fill=layer.fill,
        each=each,
        length=length if isinstance(layer, Reshape) else None,
        dim=axis + 2,
    )


def _upsample(layer: _Upsample, before: Level) -> FixedWindow:
    factor = int(1 / axis_map(layer).total_stride)
    causal = layer.windows[0].right == 0
    return FixedWindow(
        layer,
        layer.windows[0],
        before,
        lambda x: layer.apply_windows(x, INSIDE),
        mode="replicate",
        each=factor,
        shift=0 if causal else factor // 2,
        length=lambda n: before.length(n) * factor,
    )


def _resample(layer: Resample, before: Level) -> FixedWindow:
    window, new = layer._window, layer._new

    def length(n: Tensor) -> Tensor:
        return -(-before.length(n) * new).div(window.stride, rounding_mode="floor")

    return FixedWindow(layer, window, before, layer._blocks, each=new, length=length)
