"""What all layers of a stack have in common, and the keys of those that can be causal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, ValidationInfo, model_validator

from mediaconv.config.problems import Problem, failure, problems_of, wrong
from mediaconv.config.section import Named
from mediaconv.config.setting import Causality, Setting
from mediaconv.config.values import Causal, Rule, integer
from mediaconv.errors import nearest

_TIME_AXIS = integer(0, 1)


def _check_time_axis(value: Any, setting: Setting | None) -> int:
    """Only in 2D is the time axis a choice."""
    axis = int(_TIME_AXIS.check(value, setting))
    if axis and setting is not None and setting.dims in (1, 3):
        raise wrong(value, f"0: it is a choice in 2D alone; here time is axis 0, {setting.axes[0]}")
    return axis


TimeAxis = Annotated[int, Rule(_check_time_axis, _TIME_AXIS.schema)]


class LayerSpec(Named):
    """One layer as a configuration states it. `name` is its YAML name."""

    dims: ClassVar[tuple[int, ...]] = (1, 2, 3)
    """In how many dimensions the layer exists."""
    decisive: ClassVar[frozenset[str]] = frozenset()
    """Keys that decide what the others may be: where one is wrong, the layer as a whole is not judged."""

    @model_validator(mode="after")
    def _fits(self, info: ValidationInfo) -> Any:
        setting = info.context if isinstance(info.context, Setting) else Setting()
        found = self.problems(setting)
        if setting.dims and setting.dims not in self.dims:
            fitting = " or ".join(f"{d}D" for d in self.dims)
            found.append(
                Problem((), f"got {self.name}, which exists in {fitting}; this pipeline's is {setting.dims}D")
            )
        if found:
            raise failure(found)
        return self

    def problems(self, setting: Setting) -> list[Problem]:
        """What is wrong with the layer as a whole, each of its keys being right by itself."""
        return []

    @classmethod
    def _further(cls, value: Any, problems: Sequence[Problem], setting: Setting | None) -> list[Problem]:
        """What is wrong with the layer as a whole, judged by the keys that are right."""
        bad = {problem.location[0] for problem in problems if problem.location}
        if not isinstance(value, Mapping) or not bad & set(value):
            return []
        if any(key in cls.decisive or nearest(str(key), cls.decisive) for key in bad):
            return []
        try:
            cls.model_validate({key: item for key, item in value.items() if key not in bad}, context=setting)
        except ValidationError as error:
            return [p for p in problems_of(error) if not p.location or p.location[0] not in bad]
        return []

    def _resolve(self, key: str, value: Any) -> None:
        """Fill in what another key, or the file, states. Only while the layer is being checked."""
        object.__setattr__(self, key, value)


class CausalLayer(LayerSpec):
    """A layer with a window in time."""

    decisive: ClassVar[frozenset[str]] = frozenset({"causal", "time_axis"})

    causal: Causal | None = Field(default=None, description="default: the file's")
    time_axis: TimeAxis = Field(
        default=0,
        description="which axis is time in 2D: 0 rows, 1 columns; default: the file's",
    )

    def problems(self, setting: Setting) -> list[Problem]:
        if "time_axis" not in self.model_fields_set:
            self._resolve("time_axis", setting.time_axis)
        return []

    def causality(self, setting: Setting) -> Causality:
        """How the layer is causal, by its own key or the file's."""
        return setting.resolve(self.causal)

    def causal_axes(self, setting: Setting) -> tuple[int, ...]:
        """Axes along which the layer may not see what comes later."""
        how = self.causality(setting)
        if how.mode == "raster":
            return tuple(range(setting.dims or 0))
        return (self.time_axis,) if how else ()
