"""The front door's functions that take a configuration: a file, a mapping of the same keys, or a RunConfig.

Each one takes the configuration's own keys as keyword arguments, which replace those of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediaconv.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from torch import nn

    from mediaconv.compare.comparison import Comparison
    from mediaconv.compare.prove.module_proof.search import Proof
    from mediaconv.compare.prove.verdict import Verdict
    from mediaconv.config import RunConfig
    from mediaconv.front.loaded_stack import LoadedStack
    from mediaconv.nn.summary.trace import Trace
    from mediaconv.run.report.progress import Reporter
    from mediaconv.run.report.summary import Summary

    Config = str | Path | Mapping[str, Any] | RunConfig


def load_config(config: Config, *, overrides: Sequence[str] = (), **keys: Any) -> RunConfig:
    """A checked configuration, from a YAML file or from a mapping of the same keys.

    overrides: as `--set` takes them, `"stack.0.conv.kernel_size=5"`, in order.
    keys: keys at the top of a configuration, which replace those of the file: `device="cpu"`.
    Raises ConfigError with every problem, each a line.

    >>> import mediaconv
    >>> stack = [{"conv": {"out_channels": 4, "kernel_size": 3}}, "relu"]
    >>> config = mediaconv.load_config({"pipeline": "audio", "input": "in", "output": "out", "stack": stack})
    >>> config.pipeline, config.chunk, len(config.stack)
    ('audio', 'auto', 2)
    >>> mediaconv.load_config(config, chunk=1000).chunk
    1000
    """
    return _resolved(config, overrides, keys)


def _resolved(
    config: Config, overrides: Sequence[str], keys: Mapping[str, Any], *, refuse_leaks: bool = True
) -> RunConfig:
    """As `load_config`. refuse_leaks: False where a causal configuration is still to be proven causal."""
    from mediaconv.config import RunConfig, dump_config, parse_config
    from mediaconv.config import load_config as load_file

    if isinstance(config, RunConfig) and not keys and not overrides:
        return config
    if not isinstance(config, RunConfig | Mapping):
        return load_file(Path(config), overrides=overrides, values=keys, refuse_leaks=refuse_leaks)
    text, values = ("{}", config) if isinstance(config, Mapping) else (dump_config(config), {})
    try:
        values = {**values, **keys}
        parsed = parse_config(
            text, name="config", overrides=overrides, values=values, refuse_leaks=refuse_leaks
        )
    except ConfigError as error:  # what was given has no lines to name
        raise ConfigError(re.sub(r"^(config:\d+|argument \w+): ", "", str(error), flags=re.M)) from None
    return parsed.standing_at(type(parsed.sources)())


def load_stack(
    config: Config, *, channels: int, rate_hz: float | None = None, overrides: Sequence[str] = (), **keys: Any
) -> LoadedStack:
    """The stack of a configuration with its weights, in evaluation mode, float32, on the CPU.

    channels: of its inputs. rate_hz: steps of the stream axis a second, for filters given in Hz.
    overrides, keys: see `load_config`. A notebook shows the stack as its trace, and
    `stack.plot(x)` an input and what becomes of it. Raises UsageError.

    >>> import mediaconv, torch
    >>> stack = [{"conv": {"out_channels": 4, "kernel_size": 3, "stride": 2}}]
    >>> config = {"pipeline": "audio", "input": "in", "output": "out", "stack": stack}
    >>> mediaconv.load_stack(config, channels=1)(torch.zeros(1, 1, 10)).shape
    torch.Size([1, 4, 5])
    """
    from mediaconv.front.loaded_stack import LoadedStack
    from mediaconv.model.build import build_stack
    from mediaconv.pipeline import find

    resolved = load_config(config, overrides=overrides, **keys)
    made = build_stack(resolved, find(resolved.pipeline), channels=channels, rate_hz=rate_hz)
    return LoadedStack(*made).eval()


def run(
    config: Config,
    *,
    overwrite: bool = False,
    retry_failed: bool = False,
    reporter: Reporter | None = None,
    **keys: Any,
) -> Summary:
    """Run a configuration over its inputs, as `mediaconv run` does: one file per output channel.

    What is done already and still matches is skipped; a run that was killed goes on where it was. A file that
    fails does not end the run: it is in the summary's `failures`.

    overwrite: run inputs that are done, too. retry_failed: run only those that failed last time.
    reporter: is told what happens (`mediaconv.run.report.progress`); by default nobody is.
    keys: see `load_config`; also `input`, `output`, `workers`, `executor`.

    Returns the counts of this run (`files`, `channels`, `skipped`, `bytes`, `seconds`), its `failures` and
    `notes`. Raises UsageError where nothing can be run, KeyboardInterrupt after Ctrl-C.

    >>> import mediaconv, numpy, soundfile, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> soundfile.write(f"{folder.name}/tone.wav", numpy.zeros(800), 8000)
    >>> config = {"pipeline": "audio", "stack": [{"conv": {"out_channels": 2, "kernel_size": 3}}]}
    >>> summary = mediaconv.run(config, input=f"{folder.name}/tone.wav", output=f"{folder.name}/out")
    >>> summary.files, summary.channels, summary.media_seconds, summary.failures
    (1, 2, 0.1, [])
    """
    resolved = load_config(config, **keys)
    from mediaconv.run.runner import Selection, run_folder

    selection = Selection(overwrite=overwrite, retry_failed=retry_failed)
    with placing(resolved):
        return run_folder(resolved, selection=selection, reporter=reporter)


def compare(
    config: Config,
    other: Config | None = None,
    *,
    overrides: Sequence[str] = (),
    observe: Callable[[Comparison, Mapping[str, Any]], None] | None = None,
    **keys: Any,
) -> Comparison:
    """Run two configurations over the same inputs, and measure and report what differs.

    other: the second configuration; without it, `config` is compared causally and in standard form.
    observe: called with the comparison and the row of each input when it is done, or with its failure.
    overrides, keys: see `load_config`; of both configurations. Both outputs, their difference,
        report.html, compare.json and CSV are written under `output`; where it is not given and `config` is
        no RunConfig, beside the first one's own output, in a folder whose name ends with -compare.

    Returns the comparison: `files`, a row an input with the numbers of each channel; `sides`, what is known
    of each stack; `failures`. Raises UsageError where there is nothing to compare.

    >>> import mediaconv, numpy, soundfile, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> soundfile.write(f"{folder.name}/noise.wav", numpy.random.default_rng(0).uniform(-1, 1, 800), 8000)
    >>> config = {"pipeline": "audio", "stack": [{"conv": {"out_channels": 1, "kernel_size": 5}}]}
    >>> found = mediaconv.compare(config, input=f"{folder.name}/noise.wav", output=f"{folder.name}/out")
    >>> [(side["name"], side["causal"], side["latency_steps"]) for side in found.sides]
    [('causal', True, 0), ('standard', False, 2)]
    """
    from mediaconv.compare.causal_pair import causal_pair, pair
    from mediaconv.compare.compare_sides import compare_sides
    from mediaconv.config import RunConfig
    from mediaconv.pipeline import find

    first = load_config(config, overrides=overrides, **keys)
    if "output" not in keys and not isinstance(config, RunConfig):
        first = first.model_copy(update={"output": f"{first.output.rstrip('/')}-compare"})
    if other is None:
        sides = causal_pair(first)
    else:
        shared = {"input": first.input, "output": first.output}
        wanted = keys if isinstance(other, RunConfig) else {**keys, **shared}
        second = load_config(other, overrides=overrides, **wanted)
        second = second.model_copy(update=shared)
        sides = pair(first, second, (_name(config, "first"), _name(other, "second")))
    return compare_sides(sides, find(first.pipeline), observe=observe)


def prove(
    model: Config | nn.Module,
    *,
    files: bool = True,
    channels: int | None = None,
    shape: Sequence[int] | None = None,
    seconds: float = 1.0,
    exact: bool = False,
    overrides: Sequence[str] = (),
    **keys: Any,
) -> Verdict | Proof:
    """Decide whether any output depends on a later input, how far ahead it reads, and which layer does it.

    model: a configuration, whose input need not exist; or a torch module.
    files: of a configuration, try it also from file to file, through the real pipeline.
    channels: of a module's input. shape: (C, ...) of one, of which the channels and the number of axes count;
        the first axis is time. By default what the module's first convolution takes, or a signal of as many
        channels as its first recurrent, attention or linear layer has features.
    seconds: how long inputs of growing length are tried, where nothing later was found by then.
    exact: whether other last bits of earlier outputs, as an FFT gives them, count as reading.
    overrides, keys: see `load_config`; of a module none.

    Returns what was found: `causal`, `lookahead` (steps of `unit`; None: to the end), `leaks`. Raises
    UsageError where the model cannot be built or tried.

    >>> import mediaconv
    >>> from torch import nn
    >>> mediaconv.prove(nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(1, 8, 5))).causal
    True
    >>> mediaconv.prove(nn.Conv1d(1, 8, 5, padding="same")).lookahead
    2
    """
    from torch import nn

    if isinstance(model, nn.Module):
        from mediaconv.compare.prove.module_proof.search import prove as prove_module
        from mediaconv.front.modules import taken_shape, takes

        if keys or overrides:
            raise UsageError(f"prove: {', '.join(keys) or 'overrides'} belongs to a configuration")
        if shape is not None and channels not in (None, shape[0]):
            raise UsageError(
                f"prove: got {channels} channels and a shape of {shape[0]}, expected one of them"
            )
        first = takes(model) if shape is None else taken_shape(shape)
        return prove_module(
            model, channels=channels or first.channels, dims=first.dims, seconds=seconds, exact=exact
        )
    from mediaconv.compare.prove.verdict import prove_config
    from mediaconv.pipeline import find

    if shape is not None or channels is not None:
        raise UsageError("prove: shape and channels are of a module; a configuration's input has its own")
    resolved = _resolved(model, overrides, keys, refuse_leaks=False)
    return prove_config(resolved, find(resolved.pipeline), files=files, seconds=seconds, exact=exact)


def trace(
    model: Config | nn.Module,
    shape: Sequence[int] | None = None,
    *,
    overrides: Sequence[str] = (),
    input: str | Path | None = None,
    **keys: Any,
) -> Trace:
    """A model layer by layer: shapes, parameters, multiply-adds, receptive field, latency, memory.

    model: a configuration, or a torch module, which is converted to streaming layers, or captured where a
        layer of it is not known: then a row for each of its operations follows.
    shape: (C, ...) of an input without the batch. input: a media file whose shape it is. With neither, some
        channels and lengths that the model takes.
    overrides, keys: see `load_config`; of a module none.

    Printed, the result is the table of `mediaconv trace`; its `rows` and `total` hold the numbers. Raises
    UsageError.

    >>> import mediaconv
    >>> from torch import nn
    >>> made = mediaconv.trace(nn.Sequential(nn.Conv1d(2, 4, 3, padding="same"), nn.ReLU()), (2, 100))
    >>> made.total.parameters, made.total.after, made.total.receptive_field, made.total.latency
    (28, (4, 100), (3,), 1)
    """
    from torch import nn

    from mediaconv.nn.summary.trace import trace as trace_module

    if isinstance(model, nn.Module):
        from mediaconv.front.modules import streaming, takes

        if keys or overrides or input is not None:
            names = ", ".join([*keys, *(["input"] if input is not None else [])]) or "overrides"
            raise UsageError(f"trace: {names} belongs to a configuration; of a module give the shape")
        taken = tuple(shape or takes(model).shape)
        return trace_module(streaming(model, taken), taken)
    from dataclasses import replace

    from mediaconv.compare.prove.verdict import order_axes
    from mediaconv.draw.subject import fitted, subject
    from mediaconv.nn.summary.fitting_length import fitting_length
    from mediaconv.pipeline import find

    resolved = load_config(model, overrides=overrides, **keys)
    pipeline = find(resolved.pipeline)
    time_axis = order_axes(resolved, pipeline)[0]
    if input is not None and shape is not None:
        raise UsageError("trace: got an input and a shape, expected one of them")
    if input is not None:
        found = fitted(resolved, Path(input))
        shape = (found.channels, *found.lengths)
        made = trace_module(found.stack, shape, axes=pipeline.axes, time_axis=time_axis)
        return replace(made, channel_names=found.channel_names)
    if shape is not None and (len(shape) != 1 + len(pipeline.axes) or min(shape) < 1):
        raise UsageError(f"shape: got {list(shape)}, expected channels and {', '.join(pipeline.axes)}")
    studied = subject(resolved, channels=None if shape is None else shape[0])
    typical = enumerate(pipeline.typical_input().shape)
    lengths = (fitting_length(studied.stack, axis, n or 1) for axis, n in typical)
    sizes = list(shape or (studied.channels, *lengths))
    return trace_module(studied.stack, sizes, axes=pipeline.axes, time_axis=time_axis)


@contextmanager
def placing(config: RunConfig) -> Iterator[None]:
    """Errors about a key of a configuration that is in use get the key's file and line."""
    try:
        yield
    except UsageError as error:
        raise UsageError(config.placed(str(error))) from error


def _name(config: Config, other: str) -> str:
    """What a configuration is called: its file, or another name where it has none."""
    if isinstance(config, str | Path):
        return str(config)
    if isinstance(config, Mapping):
        return other
    return config.sources.known.get((), "").rpartition(":")[0] or other
