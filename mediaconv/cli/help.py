"""`mediaconv help`, and what is said to a word that is no command: the nearest one, or what a file needs."""

from __future__ import annotations

import os
import shlex
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

OTHER_WORDS = {
    "convert": "run", "apply": "run", "process": "run", "new": "init", "create": "init", "start": "init",
    "probe": "info", "doctor": "info", "identify": "info", "check": "validate", "lint": "validate",
    "draw": "animate", "plot": "animate", "summary": "trace", "show": "inspect", "examples": "init --list",
    "diff": "compare", "filters": "kernels",
}  # fmt: skip
"""What others call our commands."""


class CommandGroup(TyperGroup):
    """Commands by name; a word that is none gets a line that says what to type."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See click."""
        word = args[0]
        if word not in self.commands:
            if word in OTHER_WORDS:
                ctx.fail(f"No such command {word!r}. Did you mean '{OTHER_WORDS[word]}'?")
            if os.path.exists(word):
                ctx.fail(f"{word!r} is a file or folder, no command. Try: mediaconv run {shlex.quote(word)}")
        return super().resolve_command(ctx, args)


def help(
    context: typer.Context,
    command: Annotated[list[str] | None, typer.Argument(metavar="[COMMAND]", help="of which command")] = None,
) -> None:
    """Show what a command does and its options; without a command, all commands."""
    from mediaconv.errors import UsageError, nearest

    shown: Any = context.find_root()
    name = "mediaconv"
    for word in command or []:
        inner = getattr(shown.command, "commands", {})
        if word not in inner:
            raise UsageError(f"help: got {word!r}, expected a command{nearest(word, inner)}")
        name = f"{name} {word}"
        shown = type(shown)(inner[word], info_name=word, parent=shown)
    print(shown.get_help())
