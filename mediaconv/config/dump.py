"""RunConfig -> YAML that runs again as it stands, every default written out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from mediaconv.config.document import Dumper
from mediaconv.config.run_config import RunConfig


def dump_config(config: RunConfig, *, base: Path | None = None) -> str:
    """The resolved configuration as YAML.

    base: where given, relative paths are written absolute, seen from there, so that the text runs from
        any folder. URLs stay as they are.
    """
    content = config.model_dump(mode="json")
    content = {key: value for key, value in content.items() if value is not None}
    for key in ("input", "output", "weights"):
        if base is not None and key in content and "://" not in content[key]:
            content[key] = os.path.join(base, content[key])
    return yaml.dump(
        _plain(content),
        Dumper=Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=110,
    )


def _plain(value: Any) -> Any:
    """Tuples as lists, at any depth."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
