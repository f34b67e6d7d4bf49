"""YAML -> typed run configuration, and back. Errors name file, line and key. Imports no torch.

    from mediaconv.config import load_config

The keys of a run are in `run_config`, those of each layer in `mediaconv.layers`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediaconv.config.dump import dump_config
    from mediaconv.config.load import load_config, parse_config
    from mediaconv.config.run_config import RunConfig
    from mediaconv.config.schema import config_schema

__all__ = ["RunConfig", "config_schema", "dump_config", "load_config", "parse_config"]
_MODULES = {
    "RunConfig": "run_config",
    "config_schema": "schema",
    "dump_config": "dump",
    "load_config": "load",
    "parse_config": "load",
}


def __getattr__(name: str) -> Any:
    """Names are looked up when they are used: layers import this package's values while it is loaded."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
