"""`mediaconv run`: a configuration over its inputs."""

from __future__ import annotations

import json as jsonlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaconv.cli.options import (
    InputOption,
    JsonOption,
    OutputOption,
    QuietOption,
    StackOptions,
    debug_wanted,
    tell,
)

if TYPE_CHECKING:
    from mediaconv.config import RunConfig


@dataclass(frozen=True)
class RunOptions:
    """Options that keys of the configuration stand for."""

    include: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="only inputs that match; may be repeated")
    ] = None
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help="no inputs that match; may be repeated")
    ] = None
    stack: Annotated[
        str | None,
        typer.Option(metavar="YAML", help="layers: '[{conv: {out_channels: 4, kernel_size: 3}}]'"),
    ] = None
    kernel: Annotated[
        str | None, typer.Option(metavar="NAME", help="one well-known kernel: --kernel sobel; see kernels")
    ] = None
    workers: Annotated[
        str | None,
        typer.Option(
            "--workers", "-j", metavar="N", help="files at a time, or auto: by cores, memory and work"
        ),
    ] = None
    executor: Annotated[
        str | None, typer.Option(metavar="NAME", help="what runs the files: auto, serial, process or ray")
    ] = None
    ray_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="of a Ray cluster, or auto; default: start one here")
    ] = None
    timeout_seconds: Annotated[
        str | None, typer.Option(metavar="SECONDS", help="a file that takes longer is ended and fails")
    ] = None
    max_failures: Annotated[
        str | None, typer.Option(metavar="N", help="end the run when more files than this fail")
    ] = None

    def stated(self) -> dict[str, Any]:
        """What is given, by its key. Raises UsageError."""
        from mediaconv.errors import UsageError

        if self.stack is not None and self.kernel is not None:
            raise UsageError("kernel: says nothing beside --stack; give one of them")
        stated = {**vars(self), "ray.address": self.ray_address}
        if self.kernel is not None:
            stated["stack"] = f"[{{conv: {{kernel: {self.kernel}}}}}]"
        unsaid = {"kernel", "ray_address", *(key for key, value in stated.items() if value in (None, []))}
        return {key: value for key, value in stated.items() if key not in unsaid}


def run(
    config: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG]",
            help="YAML file; or a media file or folder, with --stack, --kernel or --model",
        ),
    ] = None,
    input: InputOption = None,
    output: OutputOption = None,
    replacing: StackOptions = StackOptions(),
    own: RunOptions = RunOptions(),
    plots: Annotated[
        bool, typer.Option("--plots", help="also one figure an input: the input and each channel, plot.png")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be done, and do nothing")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="run inputs that are done, too")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="run only the inputs that failed last time")
    ] = False,
    quiet: QuietOption = False,
    json: JsonOption = False,
) -> int:
    """Run a configuration over its inputs: one image, WAV or MP4 per output channel.

    What is done already and still matches is skipped; a run that was killed goes on where it was.
    """
    resolved = _resolved(config, replacing, own, plots=plots, input=input, output=output)

    from mediaconv.front import run as run_folder
    from mediaconv.run.report.progress import make_reporter

    again = {"overwrite": overwrite, "retry_failed": retry_failed}
    if dry_run:
        return _dry_run(resolved, again, json=json, quiet=quiet)
    reporter = make_reporter(quiet=quiet, traces=debug_wanted())
    summary = run_folder(resolved, reporter=reporter, **again)
    if json:
        tell(jsonlib.dumps(summary.as_json(), indent=2))
    elif not quiet:
        tell("\n".join(summary.lines()))
    elif summary.stopped:
        print(f"stopped: {summary.stopped}", file=sys.stderr)
    return summary.exit_code


def _resolved(
    config: str | None,
    replacing: StackOptions,
    own: RunOptions,
    *,
    plots: bool,
    input: str | None,
    output: str | None,
) -> RunConfig:
    """The configuration of a file, or of a media file or folder with a stack of its own."""
    from mediaconv.errors import UsageError
    from mediaconv.guide.input_kind import looks_like_media

    if replacing.model is not None and (own.stack is not None or own.kernel is not None):
        raise UsageError("model: says nothing beside --stack or --kernel; give one of them")
    overrides = [*replacing.overrides(), *(["write.plots=true"] if plots else [])]
    options = own.stated()
    if config is not None and not (Path(config).exists() and looks_like_media(Path(config))):
        from mediaconv.config import load_config

        return load_config(Path(config), overrides=overrides, options=options, input=input, output=output)
    from mediaconv.guide.direct import direct_config, next_steps

    if config is not None and input is not None:
        raise UsageError(f"input: {config} is the input itself; leave --input out, or give a YAML file")
    media = input if config is None else config
    if media is None:
        raise UsageError(
            "run: give a configuration, or a media file or folder with --model, --stack or --kernel"
        )
    if "stack" not in options and not any(option.lstrip().startswith("stack") for option in overrides):
        raise UsageError(next_steps(Path(media)))
    trained = replacing.model is not None
    return direct_config(Path(media), options=options, overrides=overrides, output=output, trained=trained)


def _dry_run(config: Any, again: dict[str, bool], *, json: bool, quiet: bool) -> int:
    from mediaconv.front.configured import placing
    from mediaconv.run.jobs.dry_run import forecast
    from mediaconv.run.runner import Selection

    with placing(config):
        plan = forecast(config, Selection(**again))
    if json:
        print(jsonlib.dumps(plan.as_json(), indent=2))
    elif not quiet:
        print("\n".join(plan.lines()))
    return 0
