"""`--set key.path=value`: values put into a document before it is checked."""

from __future__ import annotations

import re
from typing import Any

from mediaconv.config.document import Document, read_document
from mediaconv.config.problems import Location, Problem, one_line, shown
from mediaconv.errors import ConfigError


class Override(str):
    """As `--set` takes it, made of another option. typed: what the user wrote, for messages."""

    typed: str

    def __new__(cls, option: str, typed: str) -> Override:
        made = super().__new__(cls, option)
        made.typed = one_line(typed)
        return made


def override(document: Document, option: str, *, source: str = "") -> None:
    """Apply one `key.path=value` to a document. Raises ConfigError naming the option.

    source: what the user wrote instead of `--set OPTION`.

    The value is YAML. List items go by number; mappings that are missing are made, and a bare name
    (`- relu`) becomes the mapping it stands for when a key below it is set.
    """
    source = source or getattr(option, "typed", None) or f"--set {one_line(option)}"
    path, sign, text = option.partition("=")
    parts = [part.strip() for part in re.sub(r"\[(-?\d+)\]", r".\1", path).split(".")]
    if not sign or not all(parts):
        raise ConfigError(f"{source}: got {shown(option)}, expected key.path=value, such as seed=1")
    if text.lstrip().startswith("*"):
        text = f"'{text.strip()}'"  # a pattern: there is nothing that an alias could stand for
    parsed = read_document(text, name=source, numbered=False)
    set_value(document, parts, parsed.value, source)
    prefix = _locate(document.value, parts)
    document.problems += [Problem((*prefix, *p.location), p.text) for p in parsed.problems]


def set_value(document: Document, parts: list[str], value: Any, source: str) -> None:
    """Put `value` at a path, noting `source` as where it and all below it stand."""
    if not isinstance(document.value, dict):
        document.value = {}
    holder: Any = document.value
    location: Location = ()
    for i, part in enumerate(parts):
        key = _key(holder, part, location, source)
        location = (*location, key)
        if i == len(parts) - 1:
            holder[key] = value
            break
        if isinstance(holder, dict) and key not in holder:
            document.sources[location] = source
        value_there = holder.get(key) if isinstance(holder, dict) else holder[key]
        holder[key] = _opened(value_there, parts[i + 1], location)
        if not isinstance(holder[key], dict | list):
            above = one_line(".".join(parts[: i + 1]))
            said = f"{above} is {shown(holder[key])}, which has no keys; set it whole: {above}=VALUE"
            raise ConfigError(f"{source}: {said}")
        holder = holder[key]
    for known in [known for known in document.sources if known[: len(location)] == location]:
        del document.sources[known]
    document.sources[location] = source
    document.problems = [p for p in document.problems if p.location[: len(location)] != location]


def _opened(value: Any, key: str, location: Location) -> Any:
    """A value that keys can be set in, where it stands for one. location: of the value."""
    if value is None:
        return {}
    if not isinstance(value, str):
        return value
    if value == key:
        return {value: {}}
    stands_for = _text_key(location)
    return value if stands_for is None else {stands_for: value}


def _text_key(location: Location) -> str | None:
    """The key that a text stands for: `file` of `weights: w.pt` and of a layer `model: m.onnx`."""
    from mediaconv.layers.registry import LAYERS

    if location == ("weights",):
        return "file"
    if location[0] != "stack" or location[-1] not in LAYERS:
        return None
    kind = LAYERS[str(location[-1])]
    return kind.shorthand if str in kind.shorthand_kinds else None


def _key(holder: Any, part: str, location: Location, source: str) -> str | int:
    if isinstance(holder, dict):
        return part
    if re.fullmatch(r"\d{1,9}", part) and int(part) < len(holder):
        return int(part)
    numbers = "0" if len(holder) == 1 else f"a number from 0 to {len(holder) - 1}"
    allowed = numbers if holder else "nothing: the list is empty"
    raise ConfigError(f"{source}: {'.'.join(map(str, location))}: got {part!r}, expected {allowed}")


def _locate(value: Any, parts: list[str]) -> Location:
    location: Location = ()
    for part in parts:
        key: str | int = int(part) if isinstance(value, list) else part
        location, value = (*location, key), value[key]
    return location
