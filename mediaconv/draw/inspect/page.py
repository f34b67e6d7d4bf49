"""An inspection as one HTML file that needs no network: its parts put together, its numbers put in."""

from __future__ import annotations

import html
import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING

from mediaconv.draw.inspect.data import page_data
from mediaconv.draw.scene.palette import DARK, LIGHT

if TYPE_CHECKING:
    from mediaconv.draw.inspect.inspection import Inspection

SCRIPTS = ("core", "maps", "parts", "cards", "page")
NOTHING = ("connect", "media", "font", "frame", "object", "worker")
POLICY = "; ".join(["img-src data:", *(f"{kind}-src 'none'" for kind in NOTHING)])
"""What the page may load: its own pictures. Scripts and styles are inside it."""


def page(found: Inspection, *, title: str) -> str:
    """The page of an inspection."""
    folder = files("mediaconv.draw.inspect")

    def part(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    css = part("page.css").replace("/*LIGHT*/", _variables(LIGHT)).replace("/*DARK*/", _variables(DARK))
    data = json.dumps(page_data(found), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Template(part("page.html")).substitute(
        policy=html.escape(POLICY),
        title=html.escape(title),
        eyebrow=html.escape(f"{found.pipeline.name} · {len(found.config.stack)} layers"),
        heading=html.escape(", ".join(clip.name for clip in found.clips)),
        css=css,
        data=data.replace("</", "<\\/"),
        js="\n".join(part(f"{name}.js") for name in SCRIPTS),
    )


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--{role}:{colour};" for role, colour in colours.items())
