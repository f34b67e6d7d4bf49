"""YAML text -> plain values, and the line of each. Knows nothing of what the keys mean.

Stricter than YAML where YAML lets mistakes pass: a key given twice, NaN and infinity, tags, aliases that
grow without end. As in YAML 1.2, `1e-3` is a number, `010` is ten, and a date or a time of day is text.
How much a text may hold is counted before anything is made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import yaml

from mediaconv.config.problems import Location, Problem, one_line, shown
from mediaconv.config.values import as_number
from mediaconv.errors import ConfigError

MAX_NODES = 50_000
MAX_DEPTH = 200
T = TypeVar("T")
_TOP_KEY = re.compile(r"([A-Za-z_]\w*):")
_QUICK = 2**16
_TOO_DEEP = f"nested too deeply, expected at most {MAX_DEPTH} levels"
_TOO_MANY = f"got more than {MAX_NODES} values in the file"
_LARGEST = 2**63 - 1
_LEADING_ZERO = re.compile(r"^[-+]?0[0-9_]+$")
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")
_HALF_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml, where PyYAML has it
    """PyYAML's safe loader that takes `1e-3` for a number."""


class SlowLoader(yaml.SafeLoader):
    """The same by PyYAML's own parser."""


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper that quotes what `Loader` would take for a number, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Odd line breaks (NEL, U+2028) survive in double quotes alone."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _represent_text)
for _kind in (Loader, SlowLoader, Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


@dataclass
class Document:
    """value: what the text holds. sources: where each part stands: `file:line` or an option's text.

    cut: the text held more than is read, and `value` is its beginning.
    """

    value: Any
    sources: dict[Location, str]
    problems: list[Problem] = field(default_factory=list)
    cut: bool = False

    def source_location(self, location: Location) -> str:
        """Where a part stands, or the nearest part that holds it."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.sources:
                return self.sources[location[:end]]
        return self.sources.get((), "")


def read_document(text: str, *, name: str, numbered: bool = True) -> Document:
    """The one YAML document in a text. Raises ConfigError where it is no YAML.

    name: of the file, or the text of an option when `numbered` is False.
    """
    kept = text
    try:
        kept = _readable_part(text, name, numbered)
        root = _closed(_loader(kept), lambda loader: loader.get_single_node())
    except yaml.MarkedYAMLError as error:
        if kept != text:
            raise ConfigError(f"{name}: {_TOO_MANY}") from None
        raise ConfigError(f"{name}{_line(error, numbered)}: {_explained(error, text)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(
            f"{name}: not text that YAML allows: {one_line(' '.join(str(error).split()))}"
        ) from None
    reader = _Reader(name, numbered)
    value = None if root is None else reader.read(root, ())
    reader.sources.setdefault((), f"{name}:1" if numbered else name)
    if kept != text:
        line = kept.count("\n") + 1
        lines = text.splitlines()[:line]
        keys = [key[1] for key in map(_TOP_KEY.match, reversed(lines)) if key]
        if isinstance(value, dict) and keys:
            value.setdefault(keys[0], None)
        reader.sources.setdefault(tuple(keys[:1]), f"{name}:{line}" if numbered else name)
        reader.problems.append(
            Problem(tuple(keys[:1]), f"{_TOO_MANY}; what follows line {line - 1} is not read")
        )
    return Document(value, reader.sources, reader.problems, cut=kept != text)


def _line(error: yaml.MarkedYAMLError, numbered: bool) -> str:
    mark = error.problem_mark or error.context_mark
    return f":{mark.line + 1}" if mark and numbered else ""


def _loader(text: str) -> Any:
    """libyaml's parser; PyYAML's own, which is slow, where surrogates stand: names of files that are no text.

    It takes their escapes, and says of the surrogates themselves that they are no YAML.
    """
    if _HALF_CHARACTER.search(text) or (len(text) < _QUICK and _HALF_ESCAPED.search(text)):
        return SlowLoader(text)
    return Loader(text)


def _closed(loader: Any, read: Callable[[Any], T]) -> T:
    try:
        return read(loader)
    finally:
        loader.dispose()


def _readable_part(text: str, name: str, numbered: bool) -> str:
    """The text, or its lines before the one in which it holds too many values; counted before any is made.

    Raises ConfigError where it is nested too deeply.
    """

    def count(loader: Any) -> int | None:
        nodes = depth = 0
        while loader.check_event():
            event = loader.get_event()
            nodes += isinstance(event, yaml.NodeEvent)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if nodes > MAX_NODES:
                return event.start_mark.line
            if depth > MAX_DEPTH:
                line = f":{event.start_mark.line + 1}" if numbered else ""
                raise ConfigError(f"{name}{line}: {_TOO_DEEP}")
        return None

    line = _closed(_loader(text), count)
    return text if line is None else "".join(text.splitlines(keepends=True)[:line])


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """What is wrong, by PyYAML's own parser where that is quick: libyaml names no aliases."""
    if len(text) < _QUICK:
        try:
            yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as worded:
            error = worded
        except RecursionError:
            return _TOO_DEEP
    problem = " ".join(str(error.problem or error.context or "").split())
    if "nesting depth" in problem:
        return _TOO_DEEP
    if "'\\t'" in problem or "\t" in problem:
        return "got a tab, expected spaces: YAML takes no tabs for indentation"
    if "single document" in str(error.context or ""):
        return "got a second document after '---', expected one"
    if "scanning an alias" in str(error.context or "") or "cannot start any token" in problem:
        return "not valid YAML: put text that begins with one of * & @ % in quotes"
    context = f" ({' '.join(error.context.split())})" if error.context and error.problem else ""
    return f"not valid YAML: {problem}{context}"


class _Reader:
    """Turns composed nodes into values; notes lines and problems."""

    def __init__(self, name: str, numbered: bool) -> None:
        self.name, self.numbered = name, numbered
        self.sources: dict[Location, str] = {}
        self.problems: list[Problem] = []
        self._construct = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, location: Location) -> Any:
        self.sources.setdefault(location, self._source(node))
        self._count += 1
        if self._count > MAX_NODES:
            key = f"{one_line(str(location[0]))}: " if location else ""
            text = f"{key}got more than {MAX_NODES} values, aliases counted in full"
            raise ConfigError(f"{self._source(node)}: {text}")
        if len(location) > MAX_DEPTH:
            raise ConfigError(f"{self._source(node)}: {_TOO_DEEP}")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if id(node) in self._open:
            raise ConfigError(f"{self._source(node)}: got an alias inside the value that it stands for")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            return [self.read(item, (*location, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _source(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.numbered else self.name

    def _problem(self, location: Location, text: str) -> None:
        self.problems.append(Problem(location, text))

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        first: dict[str, str] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(location, "got a list or mapping as a key, expected a name")
                continue
            key, here = key_node.value, (*location, key_node.value)
            if key in first:
                self._problem((*here,), f"is given twice, first at {first[key]}")
                self.sources[here] = self._source(key_node)
                continue
            first[key] = self._source(key_node)
            self.sources.setdefault(here, first[key])
            result[key] = self.read(value_node, here)
        for source in merged:
            self._merge(source, location, result)
        return result

    def _merge(self, source: yaml.Node, location: Location, result: dict[str, Any]) -> None:
        """`<<: *anchor`: keys that the mapping itself does not give."""
        if not isinstance(source, yaml.MappingNode):
            self._problem(location, "got '<<' with something else than a mapping, expected an alias of one")
            return
        for key, item in self.read(source, location).items():
            result.setdefault(key, item)

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> Any:
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        if kind in ("str", "timestamp", "value", "merge"):
            return node.value
        if kind not in ("null", "bool", "int", "float"):
            self._problem(location, f"got the tag {one_line(node.tag)}, expected a value without one")
            return node.value
        if kind in ("int", "float") and ":" in node.value:
            return node.value
        try:
            value = self._construct.construct_object(node)
            if kind == "int" and _LEADING_ZERO.match(node.value):
                value = int(node.value.replace("_", ""))
        except (ValueError, KeyError, IndexError, OverflowError, yaml.YAMLError):
            return node.value
        if isinstance(value, float) and as_number(value) is None:
            self._problem(location, f"got {one_line(node.value)}, expected a finite number")
        if isinstance(value, int) and abs(value) > _LARGEST:
            self._problem(location, f"got {shown(node.value)}, expected a number of at most 64 bits")
            return 0
        return value
