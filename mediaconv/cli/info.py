"""`mediaconv info`: what would be read of a file, and what this installation can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaconv.cli.options import JsonOption


def info(
    inputs: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="media files or folders of them")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Tell what would be read of a file: streams, rate, channels, layout, length, rotation, notes.

    Without a file: what this installation can do: devices, codecs, extras, plug-ins.
    """
    import json as writer

    from mediaconv.run.report.formatting import escaped

    if inputs:
        from mediaconv.guide.describe_input import describe_input

        descriptions = [describe_input(path) for path in inputs]
        if json:
            print(writer.dumps([each.as_json() for each in descriptions], indent=2))
        else:
            print("\n".join(escaped(line) for each in descriptions for line in each.lines()))
        return
    from mediaconv.guide.installation import installation, installation_lines

    print(writer.dumps(installation(), indent=2) if json else "\n".join(installation_lines()))
