"""Colours by what they mean, light and dark. Based on the eight of Okabe and Ito (2008), which people with
any common form of colour blindness tell apart; masked and future cells carry a pattern besides."""

from __future__ import annotations

LIGHT = {
    "paper": "#FFFFFF", "ink": "#1B1F24", "soft": "#5F6B76", "line": "#C3CBD2",
    "input": "#EAF3FA", "input-edge": "#86AECB",
    "padding": "#FFFFFF", "padding-edge": "#ADB5BC", "padding-ink": "#68727B",
    "used": "#F2B233", "used-edge": "#8A5F00", "used-ink": "#1B1F24",
    "usedpad": "#FBE7BC", "usedpad-edge": "#8A5F00", "usedpad-ink": "#6B5A2E",
    "leak": "#C25500", "leak-edge": "#7F3700", "leak-ink": "#FFFFFF",
    "masked": "#C4C8CC", "masked-edge": "#7B838A", "masked-ink": "#3B4147", "masked-mark": "#ABB1B7",
    "future": "#F9E1D4", "future-edge": "#DDA98C", "future-ink": "#8F4A22", "future-mark": "#EDC9B4",
    "empty": "#FFFFFF", "empty-edge": "#C3CBD2",
    "output": "#CBEADF", "output-edge": "#5DB597",
    "current": "#007A58", "current-edge": "#00553E", "current-ink": "#FFFFFF",
    "now": "#0072B2",
}  # fmt: skip

DARK = LIGHT | {
    "paper": "#14181D", "ink": "#EDF1F5", "soft": "#A3AFBA", "line": "#46515B",
    "input": "#20333F", "input-edge": "#557D98",
    "padding": "#14181D", "padding-edge": "#5A656F", "padding-ink": "#8B97A2",
    "usedpad": "#4A3A14", "usedpad-edge": "#E0A52E", "usedpad-ink": "#F0D9A2",
    "masked": "#4B5258", "masked-edge": "#8E979F", "masked-ink": "#E3E7EB", "masked-mark": "#646D75",
    "future": "#3B2A21", "future-edge": "#8A5E45", "future-ink": "#E8B394", "future-mark": "#5C4232",
    "empty": "#14181D", "empty-edge": "#46515B",
    "output": "#123D31", "output-edge": "#3F9C7D",
    "current": "#18B98A", "current-edge": "#7FE3C4", "current-ink": "#04130E",
    "now": "#56B4E9",
}  # fmt: skip


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a "#RRGGBB", 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
