"""`mediaconv animate`: a convolution sliding over its input, as GIF, MP4, SVG, HTML, PNG or PDF."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import DebugOption, OverwriteOption, SetOption, tell
from mediaconv.counted import counted

if TYPE_CHECKING:
    from mediaconv.draw.animate.animation import Animation

_LAYER = "Without a configuration"
_WHOSE = {"layer": "CONFIG", "input": "CONFIG", "set": "CONFIG"}
"""Options that only one subject has; those of the panel _LAYER go with --kind."""
_EVERYWHERE = ("kind", "gallery", "config", "overwrite", "debug")


def animate(
    context: typer.Context,
    config: Annotated[
        str | None, typer.Argument(metavar="[CONFIG]", help="YAML file, or give --kind")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="file to write: .gif .mp4 .svg .html .png .pdf")
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option("--layer", metavar="N", help="which layer: 2, or 1.layers.0; default: the first"),
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", "-i", help="a media file; without one, small whole numbers")
    ] = None,
    beside: Annotated[
        str | None, typer.Option("--beside", help="standard: draw the standard layer too")
    ] = None,
    gallery: Annotated[
        str | None, typer.Option("--gallery", metavar="DIR", help="write the GIFs of the documentation")
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", metavar="N,N", help="first output drawn of a large input, per axis")
    ] = None,
    channel: Annotated[int | None, typer.Option("--channel", help="the only output channel drawn")] = None,
    frames: Annotated[int | None, typer.Option("--frames", help="frames at most, evenly chosen")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="how long a frame stays")] = None,
    blank_zeros: Annotated[
        bool, typer.Option("--blank-zeros", help="cells that hold zero are drawn without a number")
    ] = False,
    title: Annotated[str, typer.Option("--title", help="above the picture")] = "",
    theme: Annotated[
        str, typer.Option("--theme", help="light or dark; a .html follows its reader's")
    ] = "light",
    width: Annotated[int | None, typer.Option("--width", help="pixels of a .gif, .mp4 or .png")] = None,
    aspect: Annotated[
        str | None, typer.Option("--aspect", metavar="W:H", help="such as 16:9, for slides")
    ] = None,
    step: Annotated[
        int | None, typer.Option("--step", help="the frame of a .png; default: the middle")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="conv1d to conv3d, conv_transpose1d to 3d", rich_help_panel=_LAYER),
    ] = None,
    kernel_size: Annotated[
        str, typer.Option("--kernel-size", help="3, or 3,5,5", rich_help_panel=_LAYER)
    ] = "3",
    stride: Annotated[str, typer.Option("--stride", rich_help_panel=_LAYER)] = "1",
    dilation: Annotated[str, typer.Option("--dilation", rich_help_panel=_LAYER)] = "1",
    padding: Annotated[
        str, typer.Option("--padding", help="same, valid, or numbers", rich_help_panel=_LAYER)
    ] = "same",
    padding_mode: Annotated[str, typer.Option("--padding-mode", rich_help_panel=_LAYER)] = "zeros",
    causal: Annotated[
        str | None, typer.Option("--causal", help="false, true, pad, mask, raster, raster-A; of a CONFIG too")
    ] = None,
    time_axis: Annotated[int, typer.Option("--time-axis", rich_help_panel=_LAYER)] = 0,
    groups: Annotated[int, typer.Option("--groups", rich_help_panel=_LAYER)] = 1,
    in_channels: Annotated[
        int | None,
        typer.Option("--in-channels", help="default: one a group", rich_help_panel=_LAYER),
    ] = None,
    out_channels: Annotated[
        int | None,
        typer.Option("--out-channels", help="default: one a group", rich_help_panel=_LAYER),
    ] = None,
    bias: Annotated[bool, typer.Option("--bias", rich_help_panel=_LAYER)] = False,
    kernel: Annotated[
        str | None,
        typer.Option("--kernel", help='its numbers: "1 2 -1", rows "1 2; 3 4"', rich_help_panel=_LAYER),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option("--values", help="the input's numbers, written alike", rich_help_panel=_LAYER),
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", help="input lengths: 10, or 4,4,4", rich_help_panel=_LAYER)
    ] = None,
    overwrite: OverwriteOption = False,
    set: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Draw a convolution sliding over its input, with every number."""
    from mediaconv.errors import UsageError
    from mediaconv.filesystem import check_made

    if sum(choice is not None for choice in (config, kind, gallery)) != 1:
        raise UsageError("animate: give a CONFIG, or --kind for a layer of your own, or --gallery DIR")
    _refuse_others(
        context, "--gallery" if gallery is not None else "--kind" if kind is not None else "CONFIG"
    )
    if gallery is not None:
        _gallery(gallery, frames, overwrite)
        return
    if output is None:
        raise UsageError("output: give a file with -o, ending in .gif, .mp4, .svg, .html, .png or .pdf")
    check_made(Path(output), overwrite=overwrite)
    if beside not in (None, "standard"):
        raise UsageError(f"beside: got {beside!r}, expected standard")
    options: dict[str, Any] = {
        "channel": channel,
        "seconds": seconds,
        "title": title.encode(errors="backslashreplace").decode(),  # a picture shows text alone
        "theme": theme,
        "blank_zeros": blank_zeros,
        "width": width,
        "aspect": None if aspect is None else _ratio(aspect),
        **({} if frames is None else {"frames": frames}),
        **({} if at is None else {"at": _ints(at, "at")}),
    }
    if kind is not None:
        _refuse_sizes_told_twice(context)
        layer_options = {
            "kernel_size": _ints(kernel_size, "kernel_size"),
            "stride": _ints(stride, "stride"),
            "dilation": _ints(dilation, "dilation"),
            "padding": padding if padding in ("same", "valid") else _ints(padding, "padding"),
            "padding_mode": padding_mode,
            "causal": causal or "false",
            "time_axis": time_axis,
            "groups": groups,
            "in_channels": in_channels,
            "out_channels": out_channels,
            "bias": bias,
        }
        lengths = None if size is None else _ints(size, "size")
        made = _of_kind(kind, layer_options, lengths, beside, options, kernel=kernel, values=values)
    else:
        overrides = [*(set or []), *([] if causal is None else [f"causal={_mode(causal)}"])]
        made = _of_config(str(config), overrides, layer, input, beside, options)
    with _progress(made):
        made.save(output, step=step, overwrite=overwrite)
    tell(f"{output}: {counted(len(made), 'frame')}, {made.label}")


@contextmanager
def _progress(animation: Animation) -> Iterator[None]:
    """A bar of the frames on a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("frames", total=len(animation))
        animation.on_frame = lambda drawn, frames: bars.update(task, completed=min(drawn, frames))
        yield


def _refuse_sizes_told_twice(context: typer.Context) -> None:
    """Raise UsageError for a size beside numbers that have one."""
    from mediaconv.errors import UsageError

    for numbers, size in (("kernel", "kernel_size"), ("values", "size")):
        source = context.get_parameter_source(size)
        if context.params[numbers] is not None and source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"{size.replace('_', '-')}: says nothing beside --{numbers}, whose numbers have a size"
            )


def _refuse_others(context: typer.Context, subject: str) -> None:
    """Raise UsageError for an option that would be ignored for this kind of subject."""
    from mediaconv.errors import UsageError

    for parameter in context.command.params:
        name = str(parameter.name)
        source = context.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE" or name in _EVERYWHERE:
            continue
        whose = _WHOSE.get(name) or ("--kind" if getattr(parameter, "rich_help_panel", "") == _LAYER else "")
        if (whose and whose != subject) or (subject == "--gallery" and name != "frames"):
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option}: says nothing about {subject}" + (f", it goes with {whose}" if whose else "")
            )


def _gallery(folder: str, frames: int | None, overwrite: bool) -> None:
    from mediaconv.draw.animate.gallery import gallery

    options = {} if frames is None else {"frames": frames}
    gallery(folder, **options, overwrite=overwrite, progress=lambda path: tell(str(path)))


def _of_kind(
    kind: str,
    layer: dict[str, Any],
    size: list[int] | None,
    beside: str | None,
    options: dict[str, Any],
    *,
    kernel: str | None,
    values: str | None,
) -> Animation:
    from mediaconv.draw.animate.animation import animate as drawn
    from mediaconv.draw.animate.distinct_input import distinct_input
    from mediaconv.draw.animate.made_layers import (
        KINDS,
        demo_layer,
        demo_lengths,
        numbers_of,
        set_kernel,
        standard_counterpart,
    )
    from mediaconv.errors import UsageError

    layer = {
        key: value[0] if isinstance(value, list) and len(value) == 1 else value
        for key, value in layer.items()
    }
    weight = None
    if kernel is not None and kind in KINDS:
        weight = numbers_of(kernel, int(kind[-2]), "kernel")
        layer["kernel_size"] = tuple(weight.shape)
    module = demo_layer(kind, **layer)
    dims = int(kind[-2])
    counterpart = standard_counterpart(module) if beside else None
    for each in (module, counterpart):
        if weight is not None and each is not None:
            set_kernel(each, weight)
    if values is not None:
        x = numbers_of(values, dims, "values")
        return drawn(module, x.expand(int(module.in_channels), *x.shape), beside=counterpart, **options)  # type: ignore[arg-type]
    lengths = demo_lengths(module) if size is None else size * dims if len(size) == 1 else size
    if len(lengths) != dims or min(lengths) < 1:
        raise UsageError(f"size: got {list(lengths)}, expected {dims} lengths of at least 1")
    return drawn(module, distinct_input(module, lengths), beside=counterpart, **options)


def _of_config(
    path: str,
    overrides: list[str],
    name: str | None,
    input: str | None,
    beside: str | None,
    options: dict[str, Any],
) -> Animation:
    from mediaconv.guide.stack_only import load_stack_only

    config = load_stack_only(Path(path), overrides=overrides, input=input)
    from mediaconv.draw.animate.configured_layers import animate_config

    counterpart = None
    if beside:
        from mediaconv.compare.causal_pair import causal_pair

        counterpart = causal_pair(config)[1].config
    return animate_config(
        config, layer=name, input=None if input is None else Path(input), beside=counterpart, **options
    )


def _mode(causal: str) -> str:
    """As `--set` spells it: raster-A is {raster: A}."""
    kind, _, letter = causal.partition("-")
    return f"{{{kind}: {letter}}}" if letter else causal


def _ratio(text: str) -> float:
    """The number that `16:9` or `1.5` spells. Raises UsageError."""
    from mediaconv.errors import UsageError

    try:
        width, _, height = text.partition(":")
        return float(width) / float(height or 1)
    except (ValueError, ZeroDivisionError):
        raise UsageError(f"aspect: got {text!r}, expected width and height such as 16:9") from None


def _ints(text: str, name: str) -> list[int]:
    from mediaconv.errors import UsageError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{name}: got {text!r}, expected whole numbers such as 3 or 3,5,5") from None
