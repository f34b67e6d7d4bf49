"""`mediaconv validate` and `mediaconv schema`: a configuration checked, and what one may hold."""

from __future__ import annotations

from pathlib import Path

from mediaconv.cli.options import ConfigArgument, DebugOption, InputOption, OutputOption, SetOption


def validate(
    config: ConfigArgument,
    input: InputOption = None,
    output: OutputOption = None,
    set: SetOption = None,
    debug: DebugOption = False,
) -> None:
    """Check a configuration without running it; all its errors are shown at once."""
    from mediaconv.config import load_config

    checked = load_config(Path(config), overrides=set or [], input=input, output=output)
    print(f"{config}: valid ({checked.pipeline}, {len(checked.stack)} layers)")


def schema(debug: DebugOption = False) -> None:
    """Print the JSON Schema of a configuration, for editors."""
    import json

    from mediaconv.config import config_schema

    print(json.dumps(config_schema(), indent=2))
