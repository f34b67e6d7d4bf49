"""The bases of all layers of a stack: keys (pydantic fields), checks, and how the module is built.

A layer's documentation and its part of the JSON Schema are made from its docstring and its fields. Which
layers there are is in `registry`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from mediaconv.config.problems import Problem, failure, problems_of, wrong
from mediaconv.config.section import Named
from mediaconv.config.validation_context import Causality, ValidationContext
from mediaconv.config.values import Causal, Rule, integer
from mediaconv.errors import nearest

if TYPE_CHECKING:
    from torch import nn

    from mediaconv.layers.memory_budget import MemoryBudget, Signal

Layers = tuple["LayerSpec", ...]
_TIME_AXIS = integer(0, 1)


@dataclass(frozen=True)
class BuildContext:
    """Where a layer is built: what the file and the layers before it say.

    signal: the layer's input.
    file: what the whole file says: the pipeline's axes, the causality of layers without their own.
    budget: the memory that may be taken.
    path: leads to the layer, as an error names it.
    """

    signal: Signal
    file: ValidationContext
    budget: MemoryBudget
    path: str = "stack"

    @property
    def channels(self) -> int:
        """Of the layer's input."""
        return self.signal.channels

    @property
    def dims(self) -> int:
        """How many axes are convolved."""
        return len(self.file.axes)

    def nn_class(self, name: str) -> Any:
        """The class of `mediaconv.nn` for so many axes: `nn_class("Conv")` is Conv2d for images."""
        import mediaconv.nn

        return getattr(mediaconv.nn, f"{name}{self.dims}d")


class LayerSpec(Named):
    """One layer as a configuration states it. `name` is its YAML name; a subclass defines `build`."""

    dims: ClassVar[tuple[int, ...]] = (1, 2, 3)
    """In how many dimensions the layer exists."""
    decisive: ClassVar[frozenset[str]] = frozenset()
    """Keys that decide what the others may be: where one is wrong, the layer as a whole is not judged."""

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Any:
        context = info.context if isinstance(info.context, ValidationContext) else ValidationContext()
        problems = self.problems(context)
        if context.dims and context.dims not in self.dims:
            fitting = " or ".join(f"{d}D" for d in self.dims)
            problems.append(
                Problem((), f"got {self.name}, which exists in {fitting}; this pipeline's is {context.dims}D")
            )
        if problems:
            raise failure(problems)
        return self

    def problems(self, context: ValidationContext) -> list[Problem]:
        """What is wrong with the layer as a whole, each of its keys being right by itself."""
        return []

    def build(self, context: BuildContext) -> nn.Module:
        """The module, with torch's own weights. Raises ValueError where it does not fit what comes before."""
        raise NotImplementedError(f"{type(self).__name__}.build")

    def weight_count(self, context: BuildContext) -> int:
        """Numbers in the module's weights, known before they are made; 0 where they are few."""
        return 0

    def set_weights(self, module: nn.Module, *, name: str, seed: int, rate_hz: float | None) -> None:
        """Set those weights of the built module that the layer's own keys state; the others are drawn.

        name: of the module in the stack, which with the seed decides random numbers.
        rate_hz: steps of the stream axis a second at the layer's input.
        Raises UsageError.
        """

    def inner(self) -> Iterator[tuple[tuple[str | int, ...], Layers, str]]:
        """The stacks inside the layer: the keys that lead to each, its layers, its module's name."""
        return iter(())

    def check_files(self) -> None:
        """Raise UsageError where a file that the layer names cannot be read."""

    @property
    def path_keys(self) -> tuple[str, ...]:
        """Keys that hold paths of local files."""
        return ()

    @property
    def needs_rate(self) -> bool:
        """Whether the weights depend on the rate of the input."""
        return False

    @classmethod
    def _further(
        cls, value: Any, problems: Sequence[Problem], context: ValidationContext | None
    ) -> list[Problem]:
        """What is wrong with the layer as a whole, judged by the keys that are right."""
        bad = {problem.location[0] for problem in problems if problem.location}
        if not isinstance(value, Mapping) or not bad & set(value):
            return []
        if any(key in cls.decisive or nearest(str(key), cls.decisive) for key in bad):
            return []
        right = {key: value[key] for key in cls.model_fields if key in value and key not in bad}
        try:
            cls.model_validate(right, context=context)
        except ValidationError as error:
            return [p for p in problems_of(error) if not p.location or p.location[0] not in bad]
        return []

    def _resolve(self, key: str, value: Any) -> None:
        """Fill in what another key, or the file, states. Only while the layer is being checked."""
        object.__setattr__(self, key, value)


def _check_time_axis(value: Any, context: ValidationContext | None) -> int:
    """Only in 2D is the time axis a choice."""
    axis = int(_TIME_AXIS.check(value, context))
    if axis and context is not None and context.dims in (1, 3):
        raise wrong(value, f"0: it is a choice in 2D alone; here time is axis 0, {context.axes[0]}")
    return axis


TimeAxis = Annotated[int, Rule(_check_time_axis, _TIME_AXIS.schema)]


class CausalLayer(LayerSpec):
    """A layer with a window in time."""

    decisive: ClassVar[frozenset[str]] = frozenset({"causal", "time_axis"})

    causal: Causal | None = Field(default=None, description="default: the file's")
    time_axis: TimeAxis = Field(
        default=0,
        description="which axis is time in 2D: 0 rows, 1 columns; default: the file's",
    )

    def problems(self, context: ValidationContext) -> list[Problem]:
        if "time_axis" not in self.model_fields_set:
            self._resolve("time_axis", context.time_axis)
        return []

    def causality(self, file: ValidationContext) -> Causality:
        """How the layer is causal, by its own key or the file's."""
        return file.resolve(self.causal)

    def causal_axes(self, file: ValidationContext) -> tuple[int, ...]:
        """Axes along which the layer may not see what comes later: in raster order all of them."""
        return self.causality(file).axes(file.dims or 0, self.time_axis)

    def window_axes(self, file: ValidationContext) -> int | tuple[int, ...]:
        """`time_axis` of a module without taps to mask: in raster order it looks back along every axis."""
        return self.causal_axes(file) if self.causality(file).mode == "raster" else self.time_axis
