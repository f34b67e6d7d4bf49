"""Two configurations to compare: any two, or the causal and the standard twin of one, with the same weights.

The causal twin has every layer causal that can be, each in its own mode (`pad`, `mask`, `raster`) or the
file's; the standard twin has none. Nothing else differs: the same seed draws the same numbers in the same
order, and named kernels, inline numbers and weight files are taken alike. Where the causal twin masks taps
(`mask`, `raster`) the standard twin uses them with the numbers that were drawn for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mediaconv.config import RunConfig, dump_config, parse_config
from mediaconv.errors import ConfigError, UsageError


@dataclass(frozen=True)
class Side:
    """One of the two things compared. name: of its folder, unique; label: how a reader knows it.

    twin: whether it is one of the two forms of one configuration.
    """

    name: str
    label: str
    config: RunConfig
    twin: bool = False


def causal_pair(config: RunConfig) -> tuple[Side, Side]:
    """The causal and the standard twin of a configuration. Raises UsageError where there is none."""
    causal, standard = _content(config), _content(config)
    standard["causal"] = False
    standard["stack"] = _standard(standard["stack"])
    causal["causal"] = causal.get("causal") or True
    causal["stack"] = _causal(causal["stack"])
    return (
        Side("causal", "causal", _parsed(causal, "causal").standing_at(config.sources), twin=True),
        Side("standard", "standard", _parsed(standard, "standard").standing_at(config.sources), twin=True),
    )


def pair(first: RunConfig, second: RunConfig, names: tuple[str, str]) -> tuple[Side, Side]:
    """Two configurations as they are; names: their files'. Raises UsageError where they do not fit."""
    if first.pipeline != second.pipeline:
        raise UsageError(
            f"compare: {names[0]} is for {first.pipeline} and {names[1]} for {second.pipeline}; "
            "two configurations of one pipeline can be compared"
        )
    _check_reads(first, second, names)
    stems = [Path(name).stem for name in names]
    if stems[0] == stems[1]:
        stems = [f"{stems[0]}_a", f"{stems[1]}_b"]
    reserved = {"input", "difference", "view"}
    stems = [f"{stem}_config" if stem in reserved else stem for stem in stems]
    return Side(stems[0], stems[0], first), Side(stems[1], stems[1], second)


def _check_reads(first: RunConfig, second: RunConfig, names: tuple[str, str]) -> None:
    """Both see the samples that the first one reads; a sample rate is the stack's own affair."""
    reads = [config.read.model_dump(mode="json", exclude={"sample_rate"}) for config in (first, second)]
    different = sorted(key for key in reads[0] if reads[0][key] != reads[1].get(key))
    if different:
        differing = " and ".join(
            f"{name} has {', '.join(f'{key}: {json.dumps(read[key])}' for key in different)}"
            for name, read in zip(names, reads, strict=True)
        )
        raise UsageError(f"compare: under `read`, {differing}; both must read the input alike")


def _content(config: RunConfig) -> dict[str, Any]:
    return yaml.safe_load(dump_config(config))


def _parsed(content: dict[str, Any], name: str) -> RunConfig:
    try:
        return parse_config(yaml.safe_dump(content, sort_keys=False), name=f"the {name} twin")
    except ConfigError as error:
        raise UsageError(
            f"compare: this configuration has no {name} twin; compare two of your own instead:\n{error}"
        ) from error


def _standard(value: Any) -> Any:
    """A part of a stack without anything causal: keys that only a causal layer has are left out."""
    if isinstance(value, dict):
        return {k: _standard(v) for k, v in value.items() if k not in ("causal", "alignment")}
    return [_standard(item) for item in value] if isinstance(value, list) else value


def _causal(value: Any) -> Any:
    """A part of a stack with every layer causal: by its own key, or by the file's where it says false."""
    if isinstance(value, dict):
        return {
            k: _causal_model(v) if k == "model" else _causal(v)
            for k, v in value.items()
            if k != "causal" or v not in (False, None)
        }
    return [_causal(item) for item in value] if isinstance(value, list) else value


def _causal_model(value: Any) -> Any:
    """A model's layer as its causal twin: the file's `causal` moves no window of a trained model."""
    return {**(value if isinstance(value, dict) else {"file": value}), "causal": True}
