"""RunConfig -> YAML that runs again as it stands, every default written out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from mediaconv.config.document import Dumper
from mediaconv.config.load import parse_config
from mediaconv.config.run_config import RunConfig
from mediaconv.layers.registry import walk


def dump_config(config: RunConfig, *, base: Path | None = None) -> str:
    """The resolved configuration as YAML.

    base: where given, relative paths are written absolute, seen from there, so that the text runs from
        any folder. URLs stay as they are.
    """
    content = config.model_dump(mode="json")
    content = {key: value for key, value in content.items() if value is not None}
    if base is not None:
        _make_absolute(content, config, base)
    return yaml.dump(
        _plain(content),
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=110,
    )


def located(config: RunConfig, base: Path) -> RunConfig:
    """The same configuration, the files of its stack seen from `base`: for a worker in another folder."""
    absolute = parse_config(dump_config(config, base=base), refuse_leaks=False)
    return config.model_copy(update={"weights": absolute.weights, "stack": absolute.stack})


def _make_absolute(content: dict[str, Any], config: RunConfig, base: Path) -> None:
    """Write every local path in the content of a configuration as seen from a folder."""
    holders: list[tuple[Any, str]] = [(content, "input"), (content, "output")]
    if config.weights is not None:
        holders.append((content["weights"], "file") if config.weights.selection else (content, "weights"))
    holders += path_holders(content, config)
    for holder, key in holders:
        if "://" not in holder[key]:
            holder[key] = os.path.join(base, holder[key])


def path_holders(content: dict[str, Any], config: RunConfig) -> list[tuple[dict[str, Any], str]]:
    """Where a configuration's content holds paths of its layers' files: a layer's options, and the key."""
    holders: list[tuple[dict[str, Any], str]] = []
    for location, spec in walk(config.stack):
        if spec.path_keys:
            options: Any = content
            for part in (*location, spec.name):
                options = options[part]
            holders += [(options, key) for key in spec.path_keys]
    return holders


def _plain(value: Any) -> Any:
    """Tuples as lists, at any depth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
