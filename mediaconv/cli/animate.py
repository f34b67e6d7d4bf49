"""`mediaconv animate`: a convolution sliding over its input, as GIF, MP4, SVG, HTML, PNG or PDF."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import ModelOptions, OverwriteOption, tell
from mediaconv.counted import counted

if TYPE_CHECKING:
    from mediaconv.config import RunConfig
    from mediaconv.draw.animate.animation import Animation

_LAYER = "Without a configuration"
_WHOSE = {"layer": "CONFIG", "input": "CONFIG", "set": "CONFIG", "model": "CONFIG"}
"""Options that only one subject has; those of the panel _LAYER go with --kind."""
_EVERYWHERE = ("kind", "gallery", "config", "overwrite", "debug")


@dataclass(frozen=True)
class Drawing:
    """How a convolution is drawn."""

    at: Annotated[
        str | None, typer.Option("--at", metavar="N,N", help="first output drawn of a large input, per axis")
    ] = None
    channel: Annotated[int | None, typer.Option("--channel", help="the only output channel drawn")] = None
    frames: Annotated[int | None, typer.Option("--frames", help="frames at most, evenly chosen")] = None
    seconds: Annotated[float | None, typer.Option("--seconds", help="how long a frame stays")] = None
    blank_zeros: Annotated[
        bool, typer.Option("--blank-zeros", help="cells that hold zero are drawn without a number")
    ] = False
    title: Annotated[str, typer.Option("--title", help="above the picture")] = ""
    theme: Annotated[str, typer.Option("--theme", help="light or dark; a .html follows its reader's")] = (
        "light"
    )
    width: Annotated[int | None, typer.Option("--width", help="pixels of a .gif, .mp4 or .png")] = None
    aspect: Annotated[
        str | None, typer.Option("--aspect", metavar="W:H", help="such as 16:9, for slides")
    ] = None

    def chosen(self) -> dict[str, Any]:
        """What is not left to the drawing, as it takes it. Raises UsageError."""
        title = self.title.encode(errors="backslashreplace").decode()  # a picture shows text alone
        chosen = {**vars(self), "title": title}
        if self.at is not None:
            chosen["at"] = _ints(self.at, "at")
        if self.aspect is not None:
            chosen["aspect"] = _ratio(self.aspect)
        return {key: value for key, value in chosen.items() if value is not None}


@dataclass(frozen=True)
class OwnLayer:
    """A layer without a configuration."""

    kernel_size: Annotated[str, typer.Option("--kernel-size", help="3, or 3,5,5", rich_help_panel=_LAYER)] = (
        "3"
    )
    stride: Annotated[str, typer.Option("--stride", rich_help_panel=_LAYER)] = "1"
    dilation: Annotated[str, typer.Option("--dilation", rich_help_panel=_LAYER)] = "1"
    padding: Annotated[
        str, typer.Option("--padding", help="same, valid, or numbers", rich_help_panel=_LAYER)
    ] = "same"
    padding_mode: Annotated[str, typer.Option("--padding-mode", rich_help_panel=_LAYER)] = "zeros"
    time_axis: Annotated[int, typer.Option("--time-axis", rich_help_panel=_LAYER)] = 0
    groups: Annotated[int, typer.Option("--groups", rich_help_panel=_LAYER)] = 1
    in_channels: Annotated[
        int | None,
        typer.Option("--in-channels", help="default: one a group", rich_help_panel=_LAYER),
    ] = None
    out_channels: Annotated[
        int | None,
        typer.Option("--out-channels", help="default: one a group", rich_help_panel=_LAYER),
    ] = None
    bias: Annotated[bool, typer.Option("--bias", rich_help_panel=_LAYER)] = False
    kernel: Annotated[
        str | None,
        typer.Option("--kernel", help='its numbers: "1 2 -1", rows "1 2; 3 4"', rich_help_panel=_LAYER),
    ] = None
    values: Annotated[
        str | None,
        typer.Option("--values", help="the input's numbers, written alike", rich_help_panel=_LAYER),
    ] = None
    size: Annotated[
        str | None, typer.Option("--size", help="input lengths: 10, or 4,4,4", rich_help_panel=_LAYER)
    ] = None

    def animation(self, kind: str, causal: str, beside: str | None, drawing: Drawing) -> Animation:
        """The layer over its input. Raises UsageError."""
        from mediaconv.draw.animate.animation import animate as drawn
        from mediaconv.draw.animate.distinct_input import distinct_input
        from mediaconv.draw.animate.made_layers import KINDS, demo_layer, demo_lengths, numbers_of, set_kernel
        from mediaconv.draw.animate.made_layers import standard_counterpart as standard

        options = self._options()
        weight = None
        if self.kernel is not None and kind in KINDS:
            weight = numbers_of(self.kernel, int(kind[-2]), "kernel")
            options["kernel_size"] = tuple(weight.shape)
        module = demo_layer(kind, causal=causal, **options)
        counterpart = standard(module) if beside else None
        for each in (module, counterpart):
            if weight is not None and each is not None:
                set_kernel(each, weight)
        dims = int(kind[-2])
        if self.values is not None:
            numbers = numbers_of(self.values, dims, "values")
            x = numbers.expand(int(module.in_channels), *numbers.shape)  # type: ignore[arg-type]
        else:
            lengths = demo_lengths(module) if self.size is None else self._lengths(self.size, dims)
            x = distinct_input(module, lengths)
        return drawn(module, x, beside=counterpart, **drawing.chosen())

    def _options(self) -> dict[str, Any]:
        options = {key: value for key, value in vars(self).items() if key not in ("kernel", "values", "size")}
        for key in ("kernel_size", "stride", "dilation", "padding"):
            if options[key] not in ("same", "valid"):
                numbers = _ints(options[key], key)
                options[key] = numbers[0] if len(numbers) == 1 else numbers
        return options

    def _lengths(self, size: str, dims: int) -> list[int]:
        from mediaconv.errors import UsageError

        numbers = _ints(size, "size")
        lengths = numbers * dims if len(numbers) == 1 else numbers
        if len(lengths) != dims or min(lengths) < 1:
            raise UsageError(f"size: got {lengths}, expected {dims} lengths of at least 1")
        return lengths


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
        str | None,
        typer.Option(
            "--input", "-i", help="a media file, or a folder's first; without one, small whole numbers"
        ),
    ] = None,
    beside: Annotated[
        str | None, typer.Option("--beside", help="standard: draw the standard layer too")
    ] = None,
    gallery: Annotated[
        str | None, typer.Option("--gallery", metavar="DIR", help="write the GIFs of the documentation")
    ] = None,
    drawing: Drawing = Drawing(),
    step: Annotated[
        int | None, typer.Option("--step", help="the frame of a .png; default: the middle")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="conv1d to conv3d, conv_transpose1d to 3d", rich_help_panel=_LAYER),
    ] = None,
    own: OwnLayer = OwnLayer(),
    causal: Annotated[
        str | None, typer.Option("--causal", help="false, true, pad, mask, raster, raster-A; of a CONFIG too")
    ] = None,
    overwrite: OverwriteOption = False,
    replacing: ModelOptions = ModelOptions(),
) -> None:
    """Draw a convolution sliding over its input, with every number."""
    from mediaconv.errors import UsageError
    from mediaconv.filesystem import check_made

    if sum(choice is not None for choice in (config or replacing.model, kind, gallery)) != 1:
        raise UsageError(
            "animate: give a CONFIG, or a model alone by --model, or --kind for a layer of your own, or "
            "--gallery DIR"
        )
    _refuse_others(
        context, "--gallery" if gallery is not None else "--kind" if kind is not None else "CONFIG"
    )
    if gallery is not None:
        _gallery(gallery, drawing.frames, overwrite)
        return
    if output is None:
        raise UsageError("output: give a file with -o, ending in .gif, .mp4, .svg, .html, .png or .pdf")
    check_made(Path(output), overwrite=overwrite)
    if beside not in (None, "standard"):
        raise UsageError(f"beside: got {beside!r}, expected standard")
    if kind is not None:
        _refuse_repeated_sizes(context)
        made = own.animation(kind, causal or "false", beside, drawing)
    else:
        more = [] if causal is None else [f"causal={_mode(causal)}"]
        loaded = replace(replacing, set=[*(replacing.set or []), *more])
        made = _of_config(
            loaded.load_stack("animate", config, input=input), layer, input, beside, drawing.chosen()
        )
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


def _refuse_repeated_sizes(context: typer.Context) -> None:
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


def _of_config(
    config: RunConfig,
    name: str | None,
    input: str | None,
    beside: str | None,
    options: dict[str, Any],
) -> Animation:
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
