"""The speakers of a sound's channels and their order, by the conventions of each format. Reads nothing."""

from __future__ import annotations

WAV_ORDER = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR", "TC"),
    *("TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
"""Speakers by the bits of a WAV file's channel mask."""
OGG_ORDER = {3: (0, 2, 1), 5: (0, 2, 1, 3, 4), 6: (0, 2, 1, 5, 3, 4), 7: (0, 2, 1, 6, 5, 3, 4)}
OGG_ORDER |= {8: (0, 2, 1, 7, 5, 6, 3, 4)}
"""Of Vorbis and Opus, whose third channel is no centre: WAV's order by their own."""
OGG_LAYOUT = {
    2: "FL FR",
    3: "FL FR FC",
    4: "FL FR BL BR",
    5: "FL FR FC BL BR",
    6: "FL FR FC LFE BL BR",
    7: "FL FR FC LFE BC SL SR",
    8: "FL FR FC LFE BL BR SL SR",
}


def are_speakers(names: list[str]) -> bool:
    """Whether each channel is a speaker of WAV's."""
    return len(names) > 1 and len(set(names)) == len(names) and set(names) <= set(WAV_ORDER)


def speakers_of_mask(mask: int, channels: int) -> tuple[str, ...]:
    """The speakers of a mask, a bit each; empty where it names another number of them than `channels`."""
    speakers = tuple(name for bit, name in enumerate(WAV_ORDER) if mask >> bit & 1)
    return speakers if len(speakers) == channels > 1 else ()
