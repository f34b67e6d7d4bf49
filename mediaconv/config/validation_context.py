"""What a file says that all of its parts are checked against: the pipeline's axes and the file's causality.

It travels as pydantic's validation context. Nothing here looks at a layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from mediaconv.config.problems import unquoted, wrong
from mediaconv.errors import nearest

if TYPE_CHECKING:
    from mediaconv.pipeline import Pipeline

CausalMode = Literal["none", "pad", "mask", "raster"]
CAUSAL_EXPECTED = "false, true, pad, mask, raster, {raster: A} or {raster: B}"
CAUSAL_MODES = ("pad", "mask", "raster")


@dataclass(frozen=True)
class Causality:
    """A causal setting with nothing left to look up. False in a condition when it is standard.

    raster: the type of mode raster: A (before the position) or B (the position too).
    """

    mode: CausalMode
    raster: Literal["A", "B"] = "B"

    def __bool__(self) -> bool:
        return self.mode != "none"

    def axes(self, dims: int, time_axis: int) -> tuple[int, ...]:
        """Axes along which nothing may see what comes later: in raster order all of them."""
        if self.mode == "raster":
            return tuple(range(dims))
        return (time_axis,) if self and dims else ()


def causality(value: bool | str | Mapping[str, str], *, default_mode: str) -> Causality:
    """What a checked `causal` value means.

    default_mode: what `true` stands for (`Pipeline.causal_mode`).

    >>> causality({"raster": "A"}, default_mode="pad")
    Causality(mode='raster', raster='A')
    >>> causality(True, default_mode="pad").mode
    'pad'
    """
    if isinstance(value, Mapping):
        return Causality("raster", cast(Literal["A", "B"], value["raster"]))
    if value is False:
        return Causality("none")
    return Causality(cast(CausalMode, default_mode if value is True else value))


@dataclass(frozen=True)
class ValidationContext:
    """axes: names of the pipeline's axes in torch's order; empty while the pipeline is not known.

    refuse_leaks: whether a causal file may hold no layer that needs the whole input; not where it is proven.
    """

    axes: tuple[str, ...] = ()
    causal: Causality = Causality("none")
    causal_mode: str = "pad"
    pipeline: Pipeline | None = None
    time_axis: int = 0
    refuse_leaks: bool = True

    @classmethod
    def of(
        cls, pipeline: Pipeline | None, *, causal: bool | str | Mapping[str, str], time_axis: int
    ) -> ValidationContext:
        """Of a file with this pipeline (None: not known), `causal` and `time_axis`."""
        mode = pipeline.causal_mode if pipeline else "pad"
        axes = tuple(pipeline.axes) if pipeline else ()
        return cls(axes, causality(causal, default_mode=mode), mode, pipeline, time_axis)

    @property
    def dims(self) -> int | None:
        """How many axes are convolved, or None while the pipeline is not known."""
        return len(self.axes) or None

    @property
    def causal_axes(self) -> tuple[int, ...]:
        """Axes along which no layer of the file may see what comes later, unless it says so itself."""
        return self.causal.axes(len(self.axes), self.time_axis)

    def resolve(self, causal: bool | str | Mapping[str, str] | None) -> Causality:
        """A layer's own causality: its `causal` key, or the file's where it has none."""
        return self.causal if causal is None else causality(causal, default_mode=self.causal_mode)


def check_causal(value: Any, context: ValidationContext | None) -> bool | str | dict[str, str]:
    """A `causal` value as it may stand in a file. Raises ValidationError."""
    if isinstance(value, Mapping) and set(value) == {"raster"}:
        if value["raster"] not in ("A", "B"):
            raise wrong(value["raster"], "A or B", location=("raster",))
        checked: bool | str | dict[str, str] = dict(value)
    elif isinstance(value, bool) or (isinstance(value, str) and value in CAUSAL_MODES):
        checked = value
    else:
        near = nearest(value, ("false", "true", *CAUSAL_MODES)) if isinstance(value, str) else ""
        raise wrong(value, CAUSAL_EXPECTED, hint=unquoted(value) or near)
    if context is not None and context.dims == 1:
        mode = causality(checked, default_mode=context.causal_mode).mode
        if mode == "raster":
            raise wrong(
                value, "mask or pad: raster needs a reading order of two axes or more; in 1D mask is the same"
            )
    return checked


def length_of(axes: Sequence[str]) -> str:
    """How an error says how many entries a list must have."""
    return f"{len(axes)} ({', '.join(axes)})"
