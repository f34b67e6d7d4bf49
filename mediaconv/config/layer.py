"""What all layers of a stack have in common, and the keys of those that can be causal."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, model_validator

from mediaconv.config.problems import Problem, failure
from mediaconv.config.section import Named
from mediaconv.config.setting import Causality, Setting
from mediaconv.config.values import Causal, integer

TimeAxis = Annotated[int, integer(0, 1)]


class LayerSpec(Named):
    """One layer as a configuration states it. `name` is its YAML name."""

    dims: ClassVar[tuple[int, ...]] = (1, 2, 3)
    """In how many dimensions the layer exists."""

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


class CausalLayer(LayerSpec):
    """A layer with a window in time."""

    causal: Causal | None = Field(default=None, description="default: the file's")
    time_axis: TimeAxis = Field(
        default=0, description="which axis is time in 2D: 0 rows, 1 columns (for pad and mask)"
    )

    def problems(self, setting: Setting) -> list[Problem]:
        found = []
        if self.time_axis and setting.dims in (1, 3):
            found.append(
                Problem(
                    ("time_axis",), "got 1, expected 0: only in 2D is it a choice; sound and film have axis 0"
                )
            )
        return found

    def causality(self, setting: Setting) -> Causality:
        """How the layer is causal, by its own key or the file's."""
        return setting.resolve(self.causal)

    def causal_axes(self, setting: Setting) -> tuple[int, ...]:
        """Axes along which the layer may not see what comes later."""
        how = self.causality(setting)
        if how.mode == "raster":
            return tuple(range(setting.dims or 0))
        return (self.time_axis,) if how else ()


Alignment = Literal["strict", "block"]
