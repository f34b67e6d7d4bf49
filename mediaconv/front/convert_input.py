"""`mediaconv.convert`: any model over one file, an array or a stream of chunks, to files or to arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

from mediaconv.errors import ComputeError, MediaError, UsageError
from mediaconv.filesystem import temporary_name

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor, nn

    from mediaconv.config import RunConfig
    from mediaconv.engine.computation import Computations
    from mediaconv.front.configured import Config
    from mediaconv.pipeline import Pipeline, Source, SourceInfo
    from mediaconv.run.jobs.convert_job import Written

    Model = nn.Module | Sequence[Any] | Config

EXAMPLE_STEPS = {1: (16_000,), 2: (512, 512), 3: (16, 512, 512)}
"""Most steps along the first axis of the example that a module is captured with, by the number of axes; the
others are the input's own where they are known."""
OF_A_STACK = ("causal", "seed", "time_axis", "weights")


class Keys(TypedDict, total=False):
    """The configuration's keys that `convert` takes; docs/reference/configuration.md has each one."""

    read: Mapping[str, Any]
    normalize: str | Mapping[str, Any]
    write: Mapping[str, Any]
    chunk: int | str
    device: str
    precision: str
    causal: bool | str | Mapping[str, str]
    time_axis: int
    seed: int
    weights: str | Path | Mapping[str, Any]
    limits: Mapping[str, Any]


@overload
def convert(
    model: Model, input: str | Path, output: None = None, *, pipeline: str | None = None, **keys: Unpack[Keys]
) -> np.ndarray: ...
@overload
def convert(  # type: ignore[overload-overlap]
    model: Model,
    input: np.ndarray,
    output: None = None,
    *,
    pipeline: str | None = None,
    rate: float | Fraction | None = None,
    **keys: Unpack[Keys],
) -> np.ndarray: ...
@overload
def convert(
    model: Model,
    input: Tensor,
    output: None = None,
    *,
    pipeline: str | None = None,
    rate: float | Fraction | None = None,
    **keys: Unpack[Keys],
) -> Tensor: ...
@overload
def convert(
    model: Model,
    input: Iterable[Any],
    output: None = None,
    *,
    pipeline: str | None = None,
    rate: float | Fraction | None = None,
    **keys: Unpack[Keys],
) -> Iterator[np.ndarray]: ...
@overload
def convert(
    model: Model,
    input: Any,
    output: str | Path,
    *,
    overwrite: bool = False,
    pipeline: str | None = None,
    rate: float | Fraction | None = None,
    **keys: Unpack[Keys],
) -> Written: ...


def convert(
    model: Model,
    input: Any,
    output: str | Path | None = None,
    *,
    overwrite: bool = False,
    pipeline: str | None = None,
    rate: float | Fraction | None = None,
    **keys: Any,
) -> Any:
    """Stream one input through a model: exactly as on the whole, in memory that its length does not change.

    model: a torch module, which is converted by `mediaconv.nn.to_streaming`; or a stack, as a list of layers
        or a whole configuration (a file, a mapping, a RunConfig).
    input: a media file; an array or tensor (C, n, ...), without a batch axis: (C, T) audio, (C, H, W) an
        image, (C, T, H, W) video; or an iterator of such arrays, which are chunks of one input along its
        first axis after the channels. Integers stand for the range of their type, as in files; floats are
        taken as they are.
    output: the folder of the files that this one input becomes (`channel_0.mp4`, ...), new or empty. Without
        it, values come back: of a file or an array all of them, as float32 (C', n', ...) in the kind of the
        input (numpy, torch), or as float64 with `precision="float64"`; of an iterator, arrays as soon as they
        are complete.
    overwrite: take a folder that is not empty too: files of the same names are replaced, others stay.
    pipeline: the kind of media (audio, image, video or a plug-in); by default by the file's extension or the
        number of axes. rate: of an array or iterator: samples or frames a second.
    keys: the configuration's own: `normalize="none"` gives the model's values as they are (the default is the
        configuration's, sigmoid), `write={"layout": "tensor"}`, `read`, `chunk`, `device`, `precision`.

    Returns values as told above; with an output, what was written: `paths` in channel order, `input_shape`
    and `output_shape` (channels first), `clipped` and `notes`. Raises UsageError for what does not fit,
    ReadError, ComputeError and WriteError for what fails; then nothing of it is left in `output`.

    >>> import mediaconv, torch
    >>> model = torch.nn.Sequential(torch.nn.Conv1d(1, 4, 9, padding="same"), torch.nn.ReLU())
    >>> x = torch.randn(1, 1000)
    >>> y = mediaconv.convert(model, x, normalize="none", chunk=64)
    >>> torch.allclose(y, model(x), atol=1e-6)
    True
    >>> chunks = (x[:, i : i + 100] for i in range(0, 1000, 100))
    >>> sum(part.shape[1] for part in mediaconv.convert(model, chunks, normalize="none"))
    1000
    """
    import numpy as np

    from mediaconv.front.arrays import StreamSource
    from mediaconv.pipeline import find, for_file

    exact = None if rate is None else Fraction(rate).limit_denominator(10**6)
    kind = None if pipeline is None else find(pipeline)
    if isinstance(input, str | Path):
        if rate is not None:
            raise UsageError("rate: got one for a file, which states its own; give it with an array")
        return _convert_file(model, Path(input), output, kind or for_file(input), overwrite, keys)
    _refuse_reading(keys.get("read"))
    if isinstance(input, np.ndarray) or hasattr(input, "detach"):
        return _convert_array(model, input, output, kind, exact, overwrite, keys)
    if not isinstance(input, Iterable):
        raise UsageError(
            f"input: got {type(input).__name__}, expected a path, an array or an iterator of arrays"
        )
    stream = StreamSource(input, kind, exact)
    config, computations = _prepared(model, stream.pipeline, output, keys)
    if output is None:
        return _streamed(stream, computations)
    return _written(stream, _read_once, config, stream.pipeline, computations, overwrite)


def _convert_file(
    model: Model,
    path: Path,
    output: str | Path | None,
    pipeline: Pipeline,
    overwrite: bool,
    keys: Mapping[str, Any],
) -> Any:
    config, computations = _prepared(model, pipeline, output, keys)

    def opened() -> Source:
        return pipeline.open(path, config.read, config.limits)

    with opened() as source:
        if output is None:
            return _values(source, opened, computations)
        return _written(source, opened, config, pipeline, computations, overwrite)


def _convert_array(
    model: Model,
    input: np.ndarray | Tensor,
    output: str | Path | None,
    pipeline: Pipeline | None,
    rate: Fraction | None,
    overwrite: bool,
    keys: Mapping[str, Any],
) -> Any:
    from mediaconv.front.arrays import ArraySource, array_of, pipeline_for

    data = array_of(input)
    kind = pipeline or pipeline_for(data)
    config, computations = _prepared(model, kind, output, keys)

    def opened() -> Source:
        return ArraySource(data, kind, rate)

    with _axes_told(data, kind):
        if output is not None:
            return _written(opened(), opened, config, kind, computations, overwrite)
        values = _values(opened(), opened, computations)
    return values if data is input else _tensor(values)


def _prepared(
    model: Model, pipeline: Pipeline, output: str | Path | None, keys: Mapping[str, Any]
) -> tuple[RunConfig, Computations]:
    """The configuration of one conversion, and what makes its computation."""
    from torch import nn

    from mediaconv.engine.computation import Computations
    from mediaconv.front.configured import load_config

    if output is None and "write" in keys:
        raise UsageError("write: says how files are written; give an output folder too")
    wanted = {**keys, "input": ".", "output": str(output or ".")}
    if isinstance(model, nn.Module):
        owned = [key for key in OF_A_STACK if key in keys]
        if owned:
            raise UsageError(f"{owned[0]}: belongs to a stack of layers, the model is a torch module")
        config = load_config({"stack": ["identity"], "pipeline": pipeline.name, **wanted})
        return config, Computations(config, pipeline, module=lambda info: _streaming(model, info))
    if isinstance(model, Sequence) and not isinstance(model, str):
        config = load_config({"stack": model, "pipeline": pipeline.name, **wanted})
    else:
        config = load_config(model, **wanted)
    if config.pipeline != pipeline.name:
        raise UsageError(
            f"pipeline: the configuration is for {config.pipeline}, the input is of {pipeline.name}"
        )
    return config, Computations(config, pipeline)


def _streaming(model: nn.Module, info: SourceInfo) -> nn.Module:
    """A module as one that streams: layer by layer where all are known, otherwise captured on an example."""
    from mediaconv.front.modules import streaming

    sizes = [n or most for n, most in zip(info.shape, EXAMPLE_STEPS[len(info.shape)], strict=True)]
    sizes[0] = min(sizes[0], EXAMPLE_STEPS[len(sizes)][0])
    return streaming(model, (info.channels, *sizes))


def _written(
    source: Source,
    reopen: Callable[[], Source],
    config: RunConfig,
    pipeline: Pipeline,
    computations: Computations,
    overwrite: bool,
) -> Written:
    """Write the files of one source into the configuration's output folder."""
    folder = Path(config.output)
    if source.info.rate is None and pipeline.axes[0] == "time":
        raise UsageError("rate: got none, expected samples or frames a second, for the files to be written")
    filled = folder.is_dir() and any(folder.iterdir())
    if (filled and not overwrite) or folder.is_file():
        raise UsageError(f"output: {folder} is there already; give a new folder, or overwrite=True")
    from mediaconv.run.jobs.convert_job import write_outputs

    target = folder / temporary_name(folder) if filled else folder  # whole there, before files replace others

    opened = write_outputs(source, reopen, target, config, pipeline, computations)
    with _usage_errors(), opened as written:
        pass
    if filled:
        for path in target.iterdir():
            path.replace(folder / path.name)
        target.rmdir()
    return replace(written, paths=tuple(folder / path.name for path in written.paths))


def _values(source: Source, reopen: Callable[[], Source], computations: Computations) -> np.ndarray:
    from mediaconv.engine.computation import ArraySink

    with _usage_errors():
        computation, _ = computations.prepare(source.info, reopen)
        sink = ArraySink(computation.floats)
        computation.write(source, sink)
    return sink.values


def _streamed(source: Source, computations: Computations) -> Iterator[np.ndarray]:
    """Outputs chunk by chunk, computed when they are asked for."""
    with _usage_errors():
        computation, _ = computations.prepare(source.info, _read_once)
    step = computation.step(source.info, computation.floats)
    for chunk in source.chunks(0):
        values = step.push(chunk.data)
        if values.size:
            yield values
    values = step.flush()
    if values.size:
        yield values


@contextmanager
def _axes_told(data: np.ndarray, pipeline: Pipeline) -> Iterator[None]:
    """An array that does not fit its model has often a batch axis: say what its axes were taken for."""
    try:
        yield
    except (UsageError, ComputeError) as error:
        axes = ", ".join(["channels", *pipeline.axes])
        raise type(error)(
            f"{error}; the input {data.shape} was read as ({axes}), without a batch axis"
        ) from error


@contextmanager
def _usage_errors() -> Iterator[None]:
    """Of the one input there is, what does not fit it is the caller's to mend, not the file's fault."""
    try:
        yield
    except MediaError as error:
        if isinstance(error.__cause__, UsageError):
            raise error.__cause__ from None
        raise


def _read_once() -> Source:
    raise UsageError(
        "normalize: minmax reads its input twice, and so does a model whose padding in front follows from "
        "the input's length; an iterator can be read once: give an array"
    )


def _refuse_reading(read: Mapping[str, Any] | None) -> None:
    """Of what says how files are read, only resampling has a meaning for arrays."""
    others = sorted(set(read or ()) - {"sample_rate"})
    if others:
        raise UsageError(f"read.{others[0]}: says how a file is read; the input is an array")


def _tensor(values: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(values)
