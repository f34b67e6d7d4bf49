"""How output files are named: by channel, by names of the user's, by groups of channels. Opens no file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from string import Formatter

from mediaconv.errors import UsageError

FIELDS = ("stem", "name", "suffix")
LONGEST = 100
_STANDARD = r"channel_\d+(?:_\w+)?|channels(?:_\d+)+|rgb|grid|tensor|plot"


def check_names(names: Sequence[str]) -> None:
    """Raises ValueError for names that are no files' names, or that one file system holds to be equal."""
    for name in names:
        if not isinstance(name, str) or not _is_name(name):
            raise ValueError(
                f'names: got {name!r}, expected 1 to {LONGEST} printable ones, none of / \\ : * ? " < > |, '
                "not starting with a dot"
            )
    lower = [name.casefold() for name in names]
    for i, name in enumerate(lower):
        if name in lower[:i]:
            raise ValueError(
                f"names: got {names[i]!r} twice, expected names that differ (case does not count)"
            )
    if "plot" in lower:
        raise ValueError("names: got 'plot', which is the name of the figure that plots: true writes")


def _is_name(name: str) -> bool:
    return (
        0 < len(name) <= LONGEST
        and name.isprintable()
        and not name.startswith(".")
        and name == name.strip()
        and not set(name) & set('/\\:*?"<>|{}')
    )


def check_pattern(pattern: str) -> None:
    """Raises ValueError for a pattern that does not name files of one folder."""
    example = "expected a file's name such as '{stem}_{name}{suffix}'"
    try:
        fields = [(name, spec, conversion) for _, name, spec, conversion in Formatter().parse(pattern)]
    except ValueError as error:
        raise ValueError(f"pattern: got {pattern!r} ({error}), {example}") from None
    names = [name for name, _, _ in fields if name is not None]
    if any(name not in FIELDS for name in names) or any(spec or conversion for _, spec, conversion in fields):
        raise ValueError(
            f"pattern: got {pattern!r}, {example}; the fields are {{stem}}, {{name}}, {{suffix}}"
        )
    if "name" not in names or not pattern.endswith("{suffix}"):
        raise ValueError(f"pattern: got {pattern!r}, {example}: with {{name}}, and {{suffix}} at its end")
    if set(pattern) & set('/\\:*?"<>|') or pattern.startswith(".") or not pattern.isprintable():
        raise ValueError(f"pattern: got {pattern!r}, {example}: no folders, and no dot at its start")


def check_groups(groups: Sequence[Sequence[int]], names: Sequence[str] | None) -> None:
    """Raises ValueError for groups that are empty or hold a channel twice, or names that are not one each."""
    for group in groups:
        if not group or len(set(group)) != len(group) or min(group) < 0:
            raise ValueError(f"groups: got {list(group)}, expected channel numbers from 0 on, each once")
    if not groups or len({tuple(group) for group in groups}) != len(groups):
        raise ValueError("groups: expected at least one list of channels, each list once")
    if names is not None and len(names) != len(groups):
        raise ValueError(f"names: got {len(names)} names for {len(groups)} groups, expected one a group")


def names_of_channels(names: Sequence[str] | None, channels: int) -> list[str]:
    """One name a channel. Raises UsageError where there are not as many names as channels."""
    if names is None:
        return [f"channel_{c}" for c in range(channels)]
    if len(names) != channels:
        raise UsageError(
            f"write.names: got {len(names)} names, the stack gives {channels} channels; give one a channel"
        )
    return list(names)


def names_of_groups(
    groups: Sequence[Sequence[int]], names: Sequence[str] | None, channels: int
) -> dict[str, list[int]]:
    """The channels of each file. Raises UsageError for a channel that the stack does not give."""
    last = max(max(group) for group in groups)
    if last >= channels:
        raise UsageError(f"write.groups: got channel {last}, the stack gives channels 0 to {channels - 1}")
    shown = names or ["channels_" + "_".join(map(str, group)) for group in groups]
    return {name: list(group) for name, group in zip(shown, groups, strict=True)}


def is_output_name(file: str, names: Sequence[str] | None = None) -> bool:
    """Whether a run with these `names` may call an output so, in its input's folder."""
    return re.fullmatch(rf"(?:{_known(names)})\.\w+", file) is not None


def stem_in_pattern(file: str, pattern: str, names: Sequence[str] | None = None) -> str | None:
    """The stem of the input that a flat output belongs to, by its name; None where it is no output's.

    >>> stem_in_pattern("clip_low.wav", "{stem}_{name}{suffix}", ["low"])
    'clip'
    """
    parts, seen = [], False
    for text, field, _, _ in Formatter().parse(pattern):
        parts.append(re.escape(text))
        if field == "stem":
            parts.append("(?P=stem)" if seen else "(?P<stem>.+)")
            seen = True
        elif field is not None:
            parts.append(f"(?:{_known(names)})" if field == "name" else r"\.\w+")
    match = re.fullmatch("".join(parts), file, re.DOTALL)
    return None if match is None else match.groupdict().get("stem", "")


def _known(names: Sequence[str] | None) -> str:
    return "|".join([_STANDARD, *map(re.escape, names or ())])


def stem_of(input_name: str) -> str:
    """`clip` of `a/b/clip.mp4`."""
    return os.path.splitext(input_name.rpartition("/")[2])[0]


def stem_for_pattern(pattern: str, input_name: str) -> str:
    """What `stem_in_pattern` tells of an input's outputs.

    >>> stem_for_pattern("{stem}_{name}{suffix}", "a/clip.mp4"), stem_for_pattern("{name}{suffix}", "b.wav")
    ('clip', '')
    """
    return stem_of(input_name) if "{stem}" in pattern else ""


def patterned(pattern: str, input_name: str, file: str) -> str:
    """The name that a pattern gives to an output file.

    >>> patterned("{stem}_{name}{suffix}", "a/clip.mp4", "channel_0.png")
    'clip_channel_0.png'
    """
    name, suffix = os.path.splitext(file)
    return pattern.format(stem=stem_of(input_name), name=name, suffix=suffix)
