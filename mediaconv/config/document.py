"""YAML text -> plain values, and the line of each. Knows nothing of what the keys mean.

Stricter than YAML where YAML lets mistakes pass: a key given twice, NaN and infinity, tags, aliases that
grow without end. As in YAML 1.2, `1e-3` is a number, `010` is ten, and a date or a time of day is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from mediaconv.config.problems import Location, Problem, one_line, shown
from mediaconv.config.values import as_number
from mediaconv.errors import ConfigError

MAX_NODES = 200_000
MAX_DEPTH = 200
_LARGEST = 2**63 - 1
_LEADING_ZERO = re.compile(r"^[-+]?0[0-9_]+$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader that takes `1e-3` for a number."""


class Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper that quotes what `Loader` would take for a number, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Odd line breaks (NEL, U+2028) survive in double quotes alone."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _represent_text)
for _kind in (Loader, Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+.0123456789"))


@dataclass
class Document:
    """value: what the text holds. places: where each part stands: `file:line` or an option's text."""

    value: Any
    places: dict[Location, str]
    problems: list[Problem] = field(default_factory=list)

    def place(self, location: Location) -> str:
        """Where a part stands, or the nearest part that holds it."""
        for end in range(len(location), 0, -1):
            if location[:end] in self.places:
                return self.places[location[:end]]
        return self.places.get((), "")


def read_document(text: str, *, name: str, numbered: bool = True) -> Document:
    """The one YAML document in a text. Raises ConfigError where it is no YAML.

    name: of the file, or the text of an option when `numbered` is False.
    """
    try:
        loader = Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark and numbered else ""
        raise ConfigError(f"{name}{line}: {_explained(error)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not text that YAML allows: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply, expected at most {MAX_DEPTH} levels") from None
    reader = _Reader(name, numbered)
    value = None if root is None else reader.read(root, ())
    reader.places.setdefault((), f"{name}:1" if numbered else name)
    return Document(value, reader.places, reader.problems)


def _explained(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context or "").split())
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
        self.places: dict[Location, str] = {}
        self.problems: list[Problem] = []
        self._construct = yaml.constructor.SafeConstructor()
        self._open: set[int] = set()
        self._count = 0

    def read(self, node: yaml.Node, location: Location) -> Any:
        self.places.setdefault(location, self._place(node))
        self._count += 1
        if self._count > MAX_NODES:
            raise ConfigError(
                f"{self._place(node)}: got more than {MAX_NODES} values, aliases counted in full"
            )
        if len(location) > MAX_DEPTH:
            raise ConfigError(f"{self._place(node)}: nested too deeply, expected at most {MAX_DEPTH} levels")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        if id(node) in self._open:
            raise ConfigError(f"{self._place(node)}: got an alias inside the value that it stands for")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, location)
            return [self.read(item, (*location, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _place(self, node: yaml.Node) -> str:
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
                self.places[here] = self._place(key_node)
                continue
            first[key] = self.places[here] = self._place(key_node)
            result[key] = self.read(value_node, here)
        for source in merged:
            self._merge(source, location, result)
        return result

    def _merge(self, source: yaml.Node, location: Location, result: dict[str, Any]) -> None:
        """`<<: *anchor`: keys that the mapping itself does not give."""
        if not isinstance(source, yaml.MappingNode):
            self._problem(location, "got '<<' with something else than a mapping, expected an alias of one")
            return
        before = dict(self.places)
        value = self.read(source, location)
        self.places |= before
        for key, item in value.items():
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
