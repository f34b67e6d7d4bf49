"""Values as one line of YAML, as a person would write them."""

from __future__ import annotations

import json
from typing import Any

import yaml

_SPECIAL = frozenset("#[]{},&*!|>'\"%@`")


def scalar(text: str) -> str:
    """A text as YAML writes it in a line: plain where that reads back as the same text.

    >>> scalar("clip.mp4"), scalar("yes"), scalar("a: b")
    ('clip.mp4', '"yes"', '"a: b"')
    """
    try:
        plain = text.isprintable() and not set(text) & _SPECIAL and yaml.safe_load(text) == text
    except yaml.YAMLError:
        plain = False
    return text if plain else json.dumps(text, ensure_ascii=True)


def flow(value: Any) -> str:
    """A value in one line of YAML."""
    if isinstance(value, str):
        return scalar(value)
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000).strip()
