"""`mediaconv kernels`: the names that `kernel` and `init` of a convolution take, and their options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mediaconv.cli.options import JsonOption

if TYPE_CHECKING:
    from mediaconv.config.section import Named


def kernels(json: JsonOption = False) -> None:
    """List the well-known kernels and the initializers, with their options."""
    import json as writer

    from mediaconv.layers.filters.filter_keys import KERNELS
    from mediaconv.layers.keys.initializers import INITIALIZERS

    known = [{**_row(kind), "dims": list(kind.dims)} for kind in KERNELS.values()]
    drawn = [_row(kind) for kind in INITIALIZERS.values()]
    if json:
        print(writer.dumps({"kernels": known, "initializers": drawn}, indent=2))
    else:
        _print_tables(known, drawn)


def _row(kind: type[Named]) -> dict[str, Any]:
    options = {
        name: {
            "required": field.is_required(),
            "default": None if field.is_required() else field.default,
            "description": field.description or "",
        }
        for name, field in kind.model_fields.items()
    }
    return {"name": kind.name, "description": " ".join((kind.__doc__ or "").split()), "options": options}


def _print_tables(known: list[dict[str, Any]], drawn: list[dict[str, Any]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table("kernel", "dims", "options", "what it does", box=box.SIMPLE)
    for row in known:
        dims = " ".join(f"{d}D" for d in row["dims"])
        table.add_row(row["name"], dims, _options(row["options"]), escape(row["description"]))
    console.print("conv: {kernel: {NAME: {OPTION: VALUE}}}", markup=False, highlight=False)
    console.print(table)
    table = Table("init", "options", "what it does", box=box.SIMPLE)
    for row in drawn:
        table.add_row(row["name"], _options(row["options"]), escape(row["description"]))
    console.print("conv: {init: {NAME: {OPTION: VALUE}}}", markup=False, highlight=False)
    console.print(table)


def _options(options: dict[str, dict[str, Any]]) -> str:
    """`sigma=1.0 axis cutoff_hz (required)`, one a line."""
    lines = []
    for name, option in options.items():
        if option["required"]:
            lines.append(f"{name} (required)")
        else:
            default = option["default"]
            shown = str(default).lower() if isinstance(default, bool) else default
            lines.append(name if default is None else f"{name}={shown}")
    return "\n".join(lines)
