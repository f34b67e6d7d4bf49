"""One page of HTML that opens without a network: the template filled in, data made safe for a script.

Whatever stands in `data` (names of files, layers and channels come from strangers) cannot end the script
element that holds it; `title`, `heading` and `eyebrow` are plain text.
Only `body` is HTML, escaped by who writes it.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from string import Template
from typing import Any

from mediaconv.web.json_values import plain

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src 'self' data: file:; media-src 'self' data: file:"
)
"""A page may load what lies in it or beside it, and nothing else."""
BODY = '<main id="page"></main>'
UNSAFE = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}
SURROGATES = re.compile("[\ud800-\udfff]")


def render_page(
    *,
    title: str,
    package: str,
    parts: Sequence[str] = (),
    data: Any = None,
    heading: str = "",
    eyebrow: str = "",
    body: str = BODY,
    colours: Sequence[Mapping[str, str]] = ({}, {}),
) -> str:
    """The page. parts: the .css and .js files of `package` that come after the shared ones, in order.

    heading, eyebrow: a title and the small line above it; without a heading there is neither. colours: CSS
    variables by their names, in the light and in the dark.
    """
    themes = zip((":root", ":root[data-theme=dark]"), colours, strict=True)
    css = [
        "".join(f"--{k}:{v};" for k, v in colour.items()).join((f"{root}{{", "}")) for root, colour in themes
    ]
    text = Template(_part("mediaconv.web", "page.html")).substitute(
        policy=html.escape(POLICY),
        title=html.escape(title),
        css="\n".join([_part("mediaconv.web", "core.css"), *css, *_parts(package, parts, ".css")]),
        body=(_header(heading, eyebrow) if heading else "") + body,
        data=script_json(data),
        js="\n".join([_part("mediaconv.web", "core.js"), *_parts(package, parts, ".js")]),
    )
    return SURROGATES.sub("\ufffd", text)


def notebook_frame(page: str, *, height: int) -> str:
    """A page as a notebook shows it inline: in a frame of its own, `height` pixels high."""
    style = f"width:100%;height:{height}px;border:0"
    return f'<iframe srcdoc="{html.escape(page)}" style="{style}"></iframe>'


def script_json(value: Any) -> str:
    """JSON that may stand in a script element, whatever the strings in it.

    >>> script_json({"name": "<!--<script>"})
    '{"name":"\\\\u003c!--\\\\u003cscript\\\\u003e"}'
    """
    text = json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.translate(UNSAFE)


def _header(heading: str, eyebrow: str) -> str:
    words = f'<p class="eyebrow">{html.escape(eyebrow)}</p><h1>{html.escape(heading)}</h1>'
    return f'<header class="top"><div>{words}</div></header>\n'


def _parts(package: str, names: Sequence[str], suffix: str) -> list[str]:
    return [_part(package, name) for name in names if name.endswith(suffix)]


def _part(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")
