"""`model`: a trained model from a file or an installed package as one layer, captured so that it streams."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from mediaconv.config.problems import Problem, wrong
from mediaconv.config.validation_context import ValidationContext
from mediaconv.config.values import Flag, Rule, number, path, text
from mediaconv.counted import counted
from mediaconv.errors import UsageError
from mediaconv.layers.layer_spec import BuildContext, LayerSpec
from mediaconv.layers.registry import register

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mediaconv.nn.axes_pattern import AxesPattern

EXAMPLE_SIZES = {1: (9600,), 2: (96, 96), 3: (16, 64, 64)}
"""Sizes of the input that a model is captured and checked with, where its file states none."""
PIPELINES = {1: "audio", 2: "image", 3: "video"}
"""The pipeline of so many axes after the channels."""


def _check_options(value: Any, context: ValidationContext | None) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise wrong(value, "a mapping from names of the factory's arguments to values")
    return dict(value)


def _check_output(value: Any, context: ValidationContext | None) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise wrong(value, "the name of an output, or its number")
    return value


@register
class Model(LayerSpec):
    """A trained model as one layer: an `.onnx` or `.pt2` file, or a model that is installed."""

    name: ClassVar[str] = "model"
    shorthand: ClassVar[str | None] = "file"
    shorthand_kinds: ClassVar[tuple[type, ...]] = (str,)
    file: Annotated[str, path("a path that ends in .onnx or .pt2, or an installed model's name")] = Field(
        description="a path that ends in .onnx or .pt2, or the name of an installed model"
    )
    options: Annotated[dict[str, Any], Rule(_check_options, {"type": "object"})] = Field(
        default_factory=dict, description="arguments of an installed model's factory"
    )
    input: Annotated[str, text("the name of an input")] | None = Field(
        default=None, description="which input, where an ONNX file has several"
    )
    output: Annotated[str | int, Rule(_check_output, {"type": ["string", "integer"]})] | None = Field(
        default=None, description="which output, where the model has several"
    )
    axes: Annotated[str, text("a pattern such as 'n c t'")] | None = Field(
        default=None,
        description="the model's layout, where it is not batch, channels, axes: 'n t c'; 'n t' for one "
        "channel without an axis; 'n c t -> n t c' where it gives another than it takes; 't c h w' runs an "
        "image model over the frames of a film; '1 (t c) h w' feeds several frames as channels",
    )

    rate: Annotated[float, number(above=0)] | None = Field(
        default=None,
        description="samples or frames a second that the model was made for: another rate is refused",
    )
    causal: Flag = Field(
        default=False,
        description="true: the model's causal twin, every window along the stream axis moved into the past, "
        "with the same weights",
    )

    hold: Flag = Field(
        default=False,
        description="true: what cannot stream, as attention over time without a bound, is computed at the "
        "end, with all that follows from it; otherwise the model is refused",
    )

    def problems(self, context: ValidationContext) -> list[Problem]:
        found = []
        if self.hold and self.causal:
            found.append(
                Problem(("hold",), "what is held to the end is not causal: leave out one of the two")
            )
        return found + self._axes_problems(context)

    def _axes_problems(self, context: ValidationContext) -> list[Problem]:
        if self.axes is None or not context.axes:
            return []
        from mediaconv.nn.axes_pattern import AxesPattern

        try:
            AxesPattern.parse(self.axes, context.axes)
        except ValueError as error:
            return [Problem(("axes",), str(error))]
        return []

    @property
    def path_keys(self) -> tuple[str, ...]:
        """The model's path; none where it is an installed one."""
        from mediaconv.model_files.open_model import is_file

        return ("file",) if is_file(self.file) else ()

    def set_weights(self, module: nn.Module, *, name: str, seed: int, rate_hz: float | None) -> None:
        """Check the input's rate; the weights are the model's own, in a run in float64 unrounded those that
        an ONNX file has in 64 bits. Raises UsageError.
        """
        if self.rate is not None and rate_hz is not None and abs(rate_hz - self.rate) > 1e-6 * self.rate:
            raise UsageError(
                f"got {rate_hz:g} steps a second, but {self.file} takes {self.rate:g}: resample the sound by "
                f"read: {{sample_rate: {self.rate:g}}}, or the film before"
            )
        self._unrounded(module)

    def _unrounded(self, module: nn.Module) -> None:
        import torch

        from mediaconv.model_files.open_model import exact_weights

        rounded = {k: v for k, v in module.state_dict().items() if v.dtype == torch.float64}
        if not rounded:
            return
        named = None if self.output is None else str(self.output)
        exact = exact_weights(self.file, input=self.input, output=named)
        for key, value in rounded.items():
            stored = exact.get(key)
            if stored is not None and stored.shape == value.shape:
                value.copy_(stored)

    @property
    def in_channels(self) -> int | None:
        """Channels that the file states, or a first convolution has; None where neither tells."""
        from mediaconv.model_files.open_model import channels_of

        layer = {"file": self.file, "input": self.input, "output": self.output, "options": self.options}
        if self.axes is None:
            return channels_of(layer, 1)
        taken = self.axes.partition("->")[0]
        if "c" not in taken:
            return 1
        axes = taken.split()
        last = axes[-1] == "c"
        return channels_of(layer, axes.index("c") if "c" in axes else None, last=last)

    def files(self) -> list[Path]:
        """Files that the layer's outputs follow from."""
        from mediaconv.model_files.open_model import files_of

        return files_of(self.file)

    def origin(self) -> str:
        """Of a factory's model, its package with the version, and its weights; of others nothing."""
        from mediaconv.model_files.open_model import origin_of

        return origin_of(self.file, self.options)

    def build(self, context: BuildContext) -> nn.Module:
        from mediaconv.model_files.capture_cache import captured_once, state_of
        from mediaconv.model_files.factories import weights_of
        from mediaconv.model_files.open_model import is_factory

        # a function may give other weights each time, from a file that no key names
        made = self._opened() if is_factory(self.file) else None
        key = (
            state_of(self.files()), self.model_dump_json(), context.channels,
            tuple(self._across(context)),
            repr(context.file),
            None if made is None else weights_of(made),
        )  # fmt: skip
        captured = captured_once(
            key, lambda: self._captured(context, self._opened() if made is None else made)
        )
        if context.signal.total is not None:
            from mediaconv.nn import for_length

            captured = for_length(captured, context.signal.total)
        latency = getattr(captured, "latency", 0)
        if context.file.causal and latency:
            raise ValueError(
                f"{self.file} reads {latency} steps ahead, which causal {context.file.causal.mode} forbids; "
                "set causal: false, or causal: true on the layer for its causal twin"
            )
        captured.trained = True  # type: ignore[assignment]
        return captured

    def _across(self, context: BuildContext) -> list[int]:
        """Sizes to capture with along the axes after the stream's: small ones as they are; large ones divide
        as the input's do.
        """
        from mediaconv.nn.graph.lengths.example_lengths import DIVISIONS

        usual = EXAMPLE_SIZES[context.dims][1:]
        known = zip(usual, context.signal.across, strict=True)
        return [
            size if now <= 1 else now if now <= size else size + (now - size) % DIVISIONS
            for size, now in known
        ]

    def check_files(self) -> None:
        try:
            self._opened()
        except ValueError as error:
            raise UsageError(str(error)) from None

    def _opened(self) -> nn.Module:
        """The model as its file or factory gives it. Raises ValueError, also for what open_model refuses."""
        from mediaconv.model_files.open_model import open_model

        named = str(self.output) if self.output is not None and self._is_onnx else None
        try:
            return open_model(self.file, input=self.input, output=named, options=self.options)
        except UsageError as error:
            raise ValueError(str(error).removeprefix("model: ")) from None

    @property
    def _is_onnx(self) -> bool:
        return self.file.lower().endswith(".onnx")

    def _captured(self, context: BuildContext, model: nn.Module) -> nn.Module:
        import torch

        from mediaconv.model_files.free_batch import free_batch
        from mediaconv.nn import to_streaming
        from mediaconv.nn.axes_pattern import AxesPattern
        from mediaconv.nn.graph.capture.called import called
        from mediaconv.nn.graph.entry import streaming_graph
        from mediaconv.nn.graph.lengths.example_lengths import allowed_sizes, shorter_example
        from mediaconv.nn.model_layout import ModelLayout

        axes = context.file.axes
        letters = tuple(axis[0] for axis in axes)
        pattern = AxesPattern.parse(self.axes or " ".join(["n", "c", *letters]), axes)
        shape = getattr(model, "input_shape", None)
        declared = shape if shape is not None and len(shape) == len(pattern.order) else None
        if shape is not None and declared is None:
            raise ValueError(
                f"{self.file}: its input has {len(shape)} axes, {list(shape)}; expected "
                f"{len(pattern.order)}: {pattern.text}: state its layout by `axes`"
            )
        window = self._window(context, pattern, declared)
        sizes = [EXAMPLE_SIZES[context.dims][0], *self._across(context)]
        for i, token in enumerate(pattern.order if declared else ()):
            if token in letters and declared is not None and isinstance(declared[i], int):
                sizes[letters.index(token)] = declared[i]
        if declared is not None and declared[0] == 1 and pattern.order[0] == f"n {letters[0]}":
            item = dict(zip(letters, sizes, strict=True)) | {"c": context.channels * window, "1": 1}
            try:
                free_batch(model, [1, *(item[token] for token in pattern.order[1:])])
            except ValueError as error:
                raise ValueError(f"{self.file}: {error}") from None
        exact = [now or size for size, now in zip(sizes[1:], context.signal.across, strict=True)]
        sizes = allowed_sizes(getattr(model, "conditions", ()), pattern, sizes, exact)
        output = None if self._is_onnx else self.output
        causal = self.causal or bool(context.file.causal)
        layout = None if pattern.plain and window == 1 else ModelLayout(pattern, window, causal)

        def made(example: Tensor) -> nn.Module:
            if self.causal or layout is not None or output is not None:
                return streaming_graph(
                    model, example, output=output, into_past=self.causal, layout=layout, hold=self.hold
                )
            return to_streaming(model, example=example, hold=self.hold)

        noise = torch.Generator().manual_seed(0)
        example = torch.randn(1, context.channels, *sizes, generator=noise)
        try:
            try:
                captured = made(example)
            except (TypeError, ValueError, RuntimeError):
                shorter = shorter_example(lambda x: called(model, x, output, layout), example)
                if shorter is None:
                    raise
                captured = made(shorter)
        except (TypeError, ValueError, RuntimeError) as error:
            hint = self._axes_hint(model, pattern) or self._channels_hint(context)
            raise ValueError(f"{error}{hint}") from None
        captured.notes = [*getattr(captured, "notes", ()), *getattr(model, "notes", ())]  # type: ignore[assignment]
        return captured

    def _axes_hint(self, model: nn.Module, pattern: AxesPattern) -> str:
        """What may be wrong where a model that is called fails: its first convolution has other axes."""
        from torch.nn.modules.conv import _ConvNd

        dims = next((part.weight.ndim - 2 for part in model.modules() if isinstance(part, _ConvNd)), None)
        has = len(pattern.letters)
        if self.axes is not None or dims is None or dims == has:
            return ""
        way = "; `axes: t c h w` runs it over the frames of a film" if (dims, has) == (2, 3) else ""
        return (
            f" (its first convolution is {dims}D, and it is given {pattern.text}: set pipeline: "
            f"{PIPELINES[dims]}, or state its layout by `axes`{way})"
        )

    def _channels_hint(self, context: BuildContext) -> str:
        """What may be wrong where a model without stated channels fails: it takes others."""
        taken = self.in_channels
        if taken in (None, context.channels):
            return ""
        return (
            f" (it is given {counted(context.channels, 'channel')}, and its first convolution takes {taken}"
            f"{_read_hint(context.dims, taken)})"
        )

    def _window(self, context: BuildContext, pattern: Any, declared: Any) -> int:
        """Frames in the model's channels. Raises ValueError where the channels do not fit."""
        dim = pattern.channel_axis()
        channels = 1 if dim is None else declared[dim] if declared else None
        if not isinstance(channels, int):
            if pattern.frames:
                raise ValueError(f"{self.file}: axes {self.axes!r} needs a model whose channels are stated")
            return 1
        if pattern.frames and channels % context.channels == 0:
            return channels // context.channels
        if channels != context.channels:
            raise ValueError(
                f"got {counted(context.channels, 'channel')}, but {self.file} takes {channels}"
                f"{_read_hint(context.dims, channels)}"
            )
        return 1


def _read_hint(dims: int, channels: int) -> str:
    """How a file is read with so many channels, where there is a way."""
    if dims == 1:
        return ": read: {channels: mono} gives one of a file" if channels == 1 else ""
    colour = {1: "gray", 3: "rgb", 4: "rgba"}.get(channels)
    return f": read: {{color: {colour}}} gives that of a file" if colour else ""
