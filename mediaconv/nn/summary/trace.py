"""A stack layer by layer, as data: shapes, cost, what each output sees, and memory, estimated and measured.

How it is written, as a table, JSON, Markdown or HTML, is in `trace_table`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from torch import nn

import mediaconv.nn as mnn
from mediaconv.errors import UsageError
from mediaconv.nn.composed_maps import Chain
from mediaconv.nn.geometry import AxisMap
from mediaconv.nn.streaming.protocol import axis_map, layer_kind, leaves, output_channels, parts_of
from mediaconv.nn.summary.channel_reads import has_phases, reads_map
from mediaconv.nn.summary.cost import multiply_adds, queue_values, state_values
from mediaconv.nn.summary.fitting_length import fitting_length
from mediaconv.nn.summary.memory_use import measure
from mediaconv.nn.summary.node_rows import is_captured, node_rows
from mediaconv.nn.summary.trace_rows import Row, TraceRows
from mediaconv.nn.summary.trace_table import trace_html, trace_text

_BYTES = 4
"""Of a float32 value."""


class Trace(TraceRows):
    """The layers of a stack for one input shape, shown as a table."""

    def __str__(self) -> str:
        return trace_text(self).rstrip()

    def _repr_html_(self) -> str:
        return trace_html(self)


_CHANNELS = ("in_channels", "num_channels", "num_features", "channels")
"""Where layers keep the number of channels that they take."""
AXES = {1: ("time",), 2: ("height", "width"), 3: ("time", "height", "width")}


def trace(
    stack: nn.Module, shape: Sequence[int], *, axes: Sequence[str] | None = None, time_axis: int = 0
) -> Trace:
    """Every layer of a stack for an input of `shape`, (C, ...) without the batch.

    axes: names of the axes after the channels; by default time, height and width.
    time_axis: which of them latency and look-ahead are counted along.
    Raises UsageError for a shape that does not fit, TypeError for a layer that cannot stream.
    """
    lengths = tuple(shape[1:])
    names = tuple(AXES[len(lengths)] if axes is None and len(lengths) in AXES else axes or ())
    if len(names) != len(lengths) or min(shape, default=0) < 1:
        raise UsageError(
            f"shape: got {list(shape)}, expected channels and {', '.join(names) or '1 to 3 axes'}"
        )
    phases = shape[0] if has_phases([stack]) else 0
    try:
        rows = list(
            _walk(stack, "", 0, tuple(shape), tuple(Chain() for _ in lengths), names, time_axis, (), phases)
        )
        inside = {row.name: node_rows(row, time_axis) for row in rows if is_captured(row.module)}
        cost = sum(row.multiply_adds for row in (*rows, *itertools.chain(*inside.values())))
        measured = measure(stack, shape, cost, max(math.prod(row.after) for row in rows))
    except ValueError as error:
        raise UsageError(f"shape {list(shape)}: {error}") from error
    total = rows[0]
    if measured is not None:
        rows = [
            replace(
                row,
                state_bytes=(row.state_bytes[0], measured.state[row.name]),
                activation_bytes=(row.activation_bytes[0], measured.activations[row.name]),
            )
            for row in rows
        ]
    proper = [row for row in rows if not parts_of(row.module)]
    total = replace(
        total,
        name="total",
        layer="",
        parameters=sum(p.numel() for p in stack.parameters()),
        multiply_adds=cost,
        lookahead=total.latency,
        state_bytes=_sums([row.state_bytes for row in rows]),
        activation_bytes=_sums([row.activation_bytes for row in proper]),
    )
    shown = rows[1:] if parts_of(stack) else rows
    every = [one for row in shown for one in (row, *inside.get(row.name, ()))]
    return Trace(("channels", *names), tuple(shape), tuple(every), total, (), time_axis)


def typical_shape(module: nn.Module) -> list[int]:
    """(C, ...) of a short input that a stack takes, by its first layer that states its channels."""
    sides = {1: [64], 2: [32, 32], 3: [8, 32, 32]}
    layers = [layer for _, layer in leaves(module)]
    stated = [getattr(layer, name) for layer in layers for name in _CHANNELS if hasattr(layer, name)]
    dims = [n for layer in layers if isinstance(n := getattr(layer, "dims", None), int)]
    lengths = enumerate(sides[dims[0] if dims else 1])
    return [stated[0] if stated else 1, *(fitting_length(module, axis, n) for axis, n in lengths)]


def _sums(pairs: Sequence[tuple[int, int | None]]) -> tuple[int, int | None]:
    measured = [m for _, m in pairs if m is not None]
    return sum(e for e, _ in pairs), sum(measured) if len(measured) == len(pairs) else None


def _walk(
    module: nn.Module,
    name: str,
    depth: int,
    before: tuple[int, ...],
    maps: tuple[AxisMap, ...],
    axes: Sequence[str],
    time_axis: int,
    path: tuple[nn.Module, ...],
    channels: int,
) -> Iterator[Row]:
    """The module's row, then those of its parts. maps: from the stack's input to the module's, per axis.

    path: the modules from the stack's input to this one. channels: of that input; 0 where none carry phases.
    """
    own = tuple(axis_map(module, axis) for axis in range(len(maps)))
    after = _output(module, before)
    so_far = tuple(_then(m, o) for m, o in zip(maps, own, strict=True))
    parts = parts_of(module)
    whole = (*path, module)
    seen = [reads_map(whole, a, channels) for a in range(len(maps))] if channels else so_far
    sequence = not isinstance(module, mnn.Branches)
    row = Row(
        name=name,
        layer=_kind(module),
        depth=depth,
        before=before,
        after=after,
        parameters=0 if parts else sum(p.numel() for p in module.parameters()),
        multiply_adds=0 if parts else multiply_adds(module, before, after),
        receptive_field=tuple(m.receptive_field for m in seen),
        stride=tuple(m.total_stride for m in so_far),
        latency=so_far[time_axis].latency,
        lookahead=own[time_axis].latency,
        state_bytes=(_BYTES * _state(module, parts, before, after), None),
        activation_bytes=(_BYTES * math.prod(after), None),
        moves=module.describe(axes) if isinstance(module, mnn.Reshape) else (),
        module=module,
        maps=maps,
    )
    if not (name and type(module) is mnn.Sequential):
        yield row
    inner = depth + 1 if name and type(module) is not mnn.Sequential else depth
    for part, child in parts:
        label = f"{name}.{part}" if name else part
        yield from _walk(child, label, inner, before, maps, axes, time_axis, path, channels)
        if sequence:
            before, path = _output(child, before), (*path, child)
            maps = tuple(_then(m, axis_map(child, axis)) for axis, m in enumerate(maps))


def _then(before: AxisMap, following: AxisMap) -> Chain:
    """One map after another, as one flat chain: nested ones would be as deep as the stack is long."""
    return Chain((*(before.maps if isinstance(before, Chain) else (before,)), following))


def _output(module: nn.Module, before: tuple[int, ...]) -> tuple[int, ...]:
    lengths = (axis_map(module, axis).output_length(n) for axis, n in enumerate(before[1:]))
    return (output_channels(module, before[0]), *lengths)


def _state(
    module: nn.Module, parts: Sequence[tuple[str, nn.Module]], before: Sequence[int], after: Sequence[int]
) -> int:
    if not parts:
        return state_values(module, before, after)
    if not isinstance(module, mnn.Branches):
        return 0
    paths = module.paths()
    shapes = [(output_channels(path, before[0]), *after[1:]) for path in paths]
    return queue_values([axis_map(path, 0) for path in paths], shapes, before[1])


def _kind(module: nn.Module) -> str:
    name = layer_kind(module)
    if isinstance(module, mnn.Branches) and not isinstance(module, mnn.Residual):
        return f"{name} ({module.merge})"
    if isinstance(module, nn.modules.conv._ConvNd):
        kernel = "×".join(map(str, module.kernel_size))
        mode = getattr(module, "mode", None)
        kind = f", {mode}" if mode else ""
        return f"{name} {kernel}{kind}"
    return f"{name} {module.pattern.text}" if isinstance(module, mnn.Reshape) else name
