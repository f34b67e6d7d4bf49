"""An inspection as one HTML file that needs no network: its parts put together, its numbers put in."""

from __future__ import annotations

from mediaconv.counted import counted
from mediaconv.draw.inspect.data import page_data
from mediaconv.draw.inspect.findings import Findings
from mediaconv.draw.scene.palette import DARK, LIGHT
from mediaconv.web.page import render_page

PARTS = ("page.css", "colours.js", "maps.js", "parts.js", "cards.js", "page.js")
BODY = """<div class="controls" id="controls"></div>
<div class="bar settings" id="settings"></div>
<div class="columns"><nav id="nav" aria-label="Layers"></nav><main id="page"></main></div>"""


def page(findings: Findings, *, title: str) -> str:
    """The page of an inspection."""
    layers = len(findings.config.stack)
    return render_page(
        package="mediaconv.draw.inspect",
        parts=PARTS,
        title=title,
        heading=", ".join(clip.name for clip in findings.clips),
        eyebrow=f"Inside the stack · {findings.pipeline.name} · {counted(layers, 'layer')}",
        body=BODY,
        data=page_data(findings),
        colours=(LIGHT, DARK),
    )
