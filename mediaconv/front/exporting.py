"""A configuration's stack, or what it stores, as an exported step or call: what `mediaconv export` does."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaconv.errors import MediaError, UsageError
from mediaconv.temporary_folder import temporary_folder

if TYPE_CHECKING:
    import torch

    from mediaconv.compute.stored import Stored
    from mediaconv.config import RunConfig
    from mediaconv.pipeline import Pipeline, SourceInfo

MOST_VALUES = 1 << 24
"""Values of the configuration's own input that an export is checked with; a few chunks at least."""


@dataclass(frozen=True)
class ExportOptions:
    """What `mediaconv export` was asked for. chunk: steps of a chunk. size: of frames, as `64x48`, or None.

    input: a file whose channels, rate and size the stack gets. whole: the call on the whole, not the step.
    normalize: the normalizer and the rounding to stored samples are part of it.
    """

    chunk: int
    size: str | None = None
    input: Path | None = None
    whole: bool = False
    normalize: bool = False
    overwrite: bool = False


def export_configuration(config: RunConfig, path: Path, options: ExportOptions) -> dict[str, Any]:
    """Write the export and its JSON file; what the JSON file says. Raises UsageError, MediaError."""
    import torch

    from mediaconv.compute.step import prepared
    from mediaconv.model.binding import bind
    from mediaconv.model.stand_in import stand_in
    from mediaconv.nn.export.export_step import export_step
    from mediaconv.nn.export.step_files import Target, write_step
    from mediaconv.nn.export.whole import write_whole_call
    from mediaconv.pipeline import find

    Target(path, options.overwrite)  # refused before anything is computed
    pipeline = find(config.pipeline)
    own = options.input or _first_input(config, pipeline)
    if own is None:
        info = stand_in(config, pipeline)
    else:
        info = _info(config, pipeline, own)
    frame = _frame(pipeline, info, options.size)
    bound = bind(config, pipeline, info)
    finish = _stored(config, pipeline, info) if options.normalize else None
    # half precision is computed in float32, which every runtime has
    module, dtype = bound.module, torch.float64 if config.precision == "float64" else torch.float32
    if dtype == torch.float64:
        module = prepared(module, torch.device("cpu"), dtype)
    example = torch.zeros(1, info.channels, options.chunk, *frame, dtype=dtype)
    facts = _facts(config, pipeline, info, module, finish)
    inputs = [] if own is None else _own_input(config, pipeline, own, example)
    more: dict[str, Any] = {"metadata": facts, "inputs": inputs, "overwrite": options.overwrite}
    try:
        if options.whole:
            return write_whole_call(module, example, path, finish=finish, **more)
        step = export_step(module, example, finish=finish)
    except (ValueError, TypeError) as error:
        raise UsageError(f"export: {error}") from error
    return write_step(step, path, module, **more)


def told_of(path: Path) -> str | None:
    """The other export of which the JSON file beside a path tells, whose place this one takes."""
    from mediaconv.nn.export.step_files import json_tells_of

    return json_tells_of(path).get("file")


def _first_input(config: RunConfig, pipeline: Pipeline) -> Path | None:
    """The configuration's first input, where it is there and on this machine."""
    from mediaconv.run.jobs.discover import discover

    with suppress(OSError, UsageError):
        listing = discover(config, pipeline)
        if listing.inputs and not listing.url:
            return Path(listing.inputs[0])
    return None


def _info(config: RunConfig, pipeline: Pipeline, path: Path) -> SourceInfo:
    with pipeline.open(path, config.read, config.limits) as source:
        return source.info


def _frame(pipeline: Pipeline, info: SourceInfo, size: str | None) -> list[int]:
    """Lengths of the axes after the stream axis."""
    lengths = [int(n or 1) for n in info.shape[1:]]
    if size is None:
        return lengths
    is_size = re.fullmatch(r"\d{1,9}(x\d{1,9})?", size)
    sizes = [int(n) for n in reversed(size.split("x"))] if is_size else []
    if len(sizes) != len(lengths) or 0 in sizes:
        expected = " x ".join(reversed(pipeline.axes[1:])) or "none: sound has no frames"
        raise UsageError(f"size: got {size!r}, expected {expected}")
    return sizes


def _stored(config: RunConfig, pipeline: Pipeline, info: SourceInfo) -> Stored:
    """The normalizer, and the rounding to what the configuration's files hold."""
    from mediaconv.compute.normalize import make_normalizer
    from mediaconv.compute.stored import Stored
    from mediaconv.engine.computation import computation_of

    normalize = config.normalize
    normalizer = make_normalizer(normalize.name, normalize.chosen_options, pipeline.signal_range)
    output = computation_of(config, pipeline, info).output_info(info)
    with temporary_folder() as folder:
        sink = pipeline.create(folder, info, output, config.write)
        sink.abort()
        return Stored(normalizer, sink.format)


def _own_input(
    config: RunConfig, pipeline: Pipeline, path: Path, example: torch.Tensor
) -> list[torch.Tensor]:
    """The beginning of an input as the stack gets it; nothing where its frames have another size."""
    import numpy as np
    import torch

    chunk, shape, wide = example.shape[2], example.shape, np.dtype(str(example.dtype).removeprefix("torch."))
    steps = max(3 * chunk, MOST_VALUES // (example[0].numel() // chunk))
    with pipeline.open(path, config.read, config.limits) as source:
        if source.info.channels != shape[1] or tuple(source.info.shape[1:]) != tuple(shape[3:]):
            return []
        parts, count = [], 0
        with suppress(MediaError):  # a broken input is checked as far as it goes
            for part in source.chunks(min(steps, max(chunk, 4096))):
                parts.append(np.asarray(part.data, wide) / wide.type(source.info.scale))
                count += len(part.data)
                if count >= steps:
                    break
    if not parts:
        return []
    x = torch.from_numpy(np.concatenate(parts)[:steps])
    return [x.movedim(-1, 0).unsqueeze(0).contiguous()]


def _facts(
    config: RunConfig, pipeline: Pipeline, info: SourceInfo, module: Any, finish: Stored | None
) -> dict[str, Any]:
    from mediaconv import __version__
    from mediaconv.compute.normalize import make_normalizer
    from mediaconv.compute.stored import normalizer_facts
    from mediaconv.nn.summary.dependence import geometry
    from mediaconv.run.jobs.identity import run_identity

    rate = float(info.rate) if info.rate else None
    along = geometry(module)
    identity = run_identity(config)
    normalize = config.normalize
    normalizer = make_normalizer(normalize.name, normalize.chosen_options, pipeline.signal_range)
    return {
        "pipeline": config.pipeline,
        "rate_hz": rate,
        "output_rate_hz": rate / float(along.total_stride) if rate else None,
        "latency_ms": 1000 * float(along.latency) / rate if rate and not along.whole else None,
        "input_scale": info.scale,
        "normalizer": {**normalizer_facts(normalizer), "included": finish is not None},
        "stored": finish.stored if finish else None,
        "mediaconv": __version__,
        "code": identity["code"],
        "configuration_sha256": identity["config"],
        "weights_sha256": _weights_hash(module),
    }


def _weights_hash(module: torch.nn.Module) -> str:
    """Of all parameters and buffers that are kept, by name, shape and value."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
