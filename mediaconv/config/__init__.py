"""YAML -> typed run configuration, and back. Errors name file, line and key. Imports no torch.

    from mediaconv.config import load_config

Which layers there are is in `layers`, the keys of a run in `run_config`.
"""

from mediaconv.config.dump import dump_config
from mediaconv.config.layers import LAYERS, walk
from mediaconv.config.load import load_config, parse_config
from mediaconv.config.run_config import RunConfig
from mediaconv.config.schema import config_schema

__all__ = ["LAYERS", "RunConfig", "config_schema", "dump_config", "load_config", "parse_config", "walk"]
