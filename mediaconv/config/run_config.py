"""The typed configuration of a run: what one YAML file says. It touches no files and imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from mediaconv import pipeline as pipelines
from mediaconv.config.normalizers import MinMax, NormalizeField, Sigmoid, minmax_refusal
from mediaconv.config.plugin_options import parse_plugin_options
from mediaconv.config.problems import Problem, failure, listed, one_line, wrong
from mediaconv.config.section import Section
from mediaconv.config.source_locations import SourceLocations
from mediaconv.config.validation_context import Causality, ValidationContext, check_causal
from mediaconv.config.values import (
    Causal,
    Natural,
    NonNegative,
    Positive,
    Rule,
    integer_or,
    list_of,
    mapping_of,
    number,
    path,
    text,
)
from mediaconv.config.weights_file import WeightsField
from mediaconv.errors import UsageError, nearest
from mediaconv.layers.layer_spec import CausalLayer, LayerSpec, TimeAxis
from mediaconv.layers.registry import MAX_LAYERS, Layers, walk
from mediaconv.media.limits import Limits

_DEVICES = ("auto", "cpu", "cuda", "mps")


def _check_device(value: Any, context: ValidationContext | None) -> str:
    words = "auto, cpu, cuda, cuda:N or mps"
    if not isinstance(value, str):
        raise wrong(value, words)
    kind, _, index = value.partition(":")
    if value in _DEVICES or (kind == "cuda" and index.isascii() and index.isdecimal()):
        return value
    raise wrong(value, words, hint=nearest("cuda" if kind == "gpu" else value, _DEVICES))


def _check_pipeline(value: Any, context: ValidationContext | None) -> str:
    if context is not None and context.pipeline is not None and isinstance(value, str):
        return value
    installed = pipelines.names()
    words = f"an installed pipeline: {listed(installed)}"
    if not isinstance(value, str):
        raise wrong(value, words)
    try:
        pipelines.find(value)
    except UsageError:
        raise wrong(value, words, hint=nearest(value, installed)) from None
    except Exception as error:
        # a plug-in is anybody's code: whatever it raises on import is the user's to know, not our crash
        raise failure([Problem((), f"{value} cannot be loaded: {type(error).__name__}: {error}")]) from error
    return value


def _options(which: Literal["read_options", "write_options"]) -> Rule:
    """A mapping checked by the pipeline's own model."""

    def check(value: Any, context: ValidationContext | None) -> BaseModel:
        options = {} if value is None else value
        if context is None or context.pipeline is None:
            return _Unknown()
        return parse_plugin_options(getattr(context.pipeline, which), options)

    return Rule(check, {"type": ["object", "null"]})


class _Unknown(BaseModel):
    """Stands for options that cannot be checked, because the pipeline is not known: an error elsewhere."""


class RayOptions(Section):
    """How jobs run on a Ray cluster; the figures are for one job."""

    address: Annotated[str, text("a Ray address, or auto")] | None = Field(
        default=None, description="of the cluster; auto finds a running one; default: a local one is started"
    )
    num_cpus: Positive = Field(default=1.0, description="CPUs a job")
    num_gpus: NonNegative = Field(default=0.0, description="GPUs a job")
    resources: Annotated[dict[str, float], mapping_of(number(low=0), "a mapping from names to numbers")] = (
        Field(default_factory=dict, description="custom resources a job")
    )


_LIMITS = Rule(
    lambda value, context: parse_plugin_options(Limits, {} if value is None else value), {"x-model": "limits"}
)
_RAY = Rule(
    lambda value, context: RayOptions.model_validate({} if value is None else value), {"x-model": "ray"}
)
_PATTERNS = list_of(text("a pattern, such as '*.mp4'"), "a list of patterns, such as ['*.mp4']")


class RunConfig(Section):
    """One run, fully checked. Relative paths are taken from the folder where the command runs."""

    pipeline: Annotated[str, Rule(_check_pipeline, {"x-pipelines": True})] = Field(
        description="audio, image, video, or the name of an installed plug-in"
    )
    input: Annotated[str, path("a file, a folder or a glob")] = Field(
        description="a file, a folder (searched in depth) or a glob; relative to where the command runs"
    )
    output: Annotated[str, path("a folder")] = Field(
        description="the folder of the outputs; relative to where the command runs"
    )
    seed: Natural = Field(default=0, description="of the random weights: the same on every machine")
    causal: Causal = Field(default=False, description="default of every layer below")
    time_axis: TimeAxis = Field(
        default=0, description="default of every layer below: which axis is time in 2D, 0 rows or 1 columns"
    )
    device: Annotated[
        str, Rule(_check_device, {"type": "string", "pattern": r"^(auto|cpu|mps|cuda(:[0-9]+)?)$"})
    ] = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    precision: Literal["float32", "float64", "bfloat16", "float16"] = Field(
        default="float32",
        description="of the computation; float64: of weights, samples and outputs that are floats too",
    )
    chunk: Annotated[int | str, integer_or("auto", 1)] = Field(
        default="auto", description="auto, or a number of samples, rows or frames"
    )
    read: Annotated[Any, _options("read_options")] = Field(
        default=None, validate_default=True, description="how inputs are read"
    )
    stack: Layers = Field(description="the layers, first to last")
    weights: WeightsField | None = Field(
        default=None,
        description="a file with the state_dict of the stack: .safetensors, or torch's .pt and .pth",
    )
    normalize: NormalizeField = Field(
        default_factory=Sigmoid, description="how the stack's output becomes values that a file can hold"
    )
    write: Annotated[Any, _options("write_options")] = Field(
        default=None, validate_default=True, description="how outputs are written"
    )
    executor: Literal["auto", "serial", "process", "ray"] = Field(
        default="auto", description="what runs the jobs; auto: processes, where there is more than one job"
    )
    workers: Annotated[int | str, integer_or("auto", 1)] = Field(default="auto", description="jobs at once")
    timeout_seconds: Positive | None = Field(default=None, description="a file that takes longer is ended")
    max_failures: Natural | None = Field(
        default=None, description="the run ends when more files than this fail"
    )
    include: Annotated[tuple[str, ...], _PATTERNS] = Field(
        default=(), description="only inputs that match one of these patterns"
    )
    exclude: Annotated[tuple[str, ...], _PATTERNS] = Field(
        default=(), description="no inputs that match one of these patterns"
    )
    limits: Annotated[Limits, _LIMITS] = Field(
        default_factory=Limits, description="how large a decoded input may be"
    )
    ray: Annotated[RayOptions, _RAY] = Field(default_factory=RayOptions, description="for executor ray")

    _sources: SourceLocations = PrivateAttr(default_factory=SourceLocations)

    @model_validator(mode="wrap")
    @classmethod
    def _with_context(cls, value: Any, handler: ModelWrapValidatorHandler[Any], info: ValidationInfo) -> Any:
        """Every part is checked against what the file as a whole says."""
        if isinstance(info.context, ValidationContext) or not isinstance(value, Mapping):
            return handler(value)
        return cls.model_validate(value, context=validation_context_of(value))

    @model_validator(mode="after")
    def _whole(self, info: ValidationInfo) -> Any:
        context = info.context if isinstance(info.context, ValidationContext) else ValidationContext()
        count = sum(1 for _ in walk(self.stack))
        if count > MAX_LAYERS:
            raise failure([Problem(("stack",), f"got {count} layers, expected at most {MAX_LAYERS}")])
        causal = next((path for path, spec in walk(self.stack) if _causal(spec, context)), None)
        if isinstance(self.normalize, MinMax) and causal is not None and context.refuse_leaks:
            raise failure([Problem(("normalize",), minmax_refusal(f"{render(causal)} being causal"))])
        return self

    @property
    def sources(self) -> SourceLocations:
        """Where its keys stand in a file."""
        return self._sources

    def standing_at(self, sources: SourceLocations) -> RunConfig:
        """The same configuration, its keys standing there."""
        copy = self.model_copy()
        copy._sources = sources
        return copy

    def placed(self, message: str) -> str:
        """What was found wrong after the configuration was read, with the file and line of its key."""
        return self._sources.put_before(message)

    def causality(self, spec: LayerSpec | None = None) -> Causality:
        """How the file's default, or one layer, is causal, with `true` and missing keys looked up."""
        file = ValidationContext.of(
            pipelines.find(self.pipeline), causal=self.causal, time_axis=self.time_axis
        )
        return spec.causality(file) if isinstance(spec, CausalLayer) else file.causal


def _causal(spec: LayerSpec, context: ValidationContext) -> bool:
    return isinstance(spec, CausalLayer) and bool(spec.causality(context))


def render(path: tuple[str | int, ...]) -> str:
    """A path as errors print it.

    >>> render(("stack", 1, "conv", "kernel_size"))
    'stack[1].conv.kernel_size'
    """
    out = ""
    for part in path:
        name = f"[{part}]" if isinstance(part, int) else one_line(part)
        out += f".{name}" if out and not isinstance(part, int) else name
    return out


def validation_context_of(value: Mapping[str, Any]) -> ValidationContext:
    """What an unchecked file says of its pipeline and causality; what is wrong there is left out here."""
    pipeline = None
    if isinstance(value.get("pipeline"), str):
        try:
            pipeline = pipelines.find(value["pipeline"])
        except Exception:
            # reported by the check of the key itself, which loads it again
            pipeline = None
    causal = value.get("causal", False)
    try:
        check_causal(causal, None)
    except ValidationError:
        causal = False
    return ValidationContext.of(pipeline, causal=causal, time_axis=1 if value.get("time_axis") == 1 else 0)
