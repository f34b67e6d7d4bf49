"""Where each key of a checked configuration stands, for what is found wrong only later.

That a stack fits its input, its weights and itself is known when it is built. Such errors begin with the key
they are about (`stack[1].conv: ...`), as those of the file do; here they get its file and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mediaconv.config.problems import Location

_KEY = re.compile(r"[A-Za-z_]\w*((\.[A-Za-z_]\w*)|(\[\d+\]))*(?=: )")
_PART = re.compile(r"[A-Za-z_]\w*|\d+")


@dataclass(frozen=True)
class SourceLocations:
    """Where keys stand. Two configurations are equal wherever their keys stand.

    known: sources (`file:line`) by location, those of all that holds a part included.
    keys: those that a configuration may have at its top.
    """

    known: Mapping[Location, str] = field(default_factory=dict, compare=False)
    keys: frozenset[str] = field(default=frozenset(), compare=False)

    def put_before(self, message: str) -> str:
        """A message, each line that begins with a key preceded by where that stands.

        >>> known = {(): "x.yaml:1", ("stack",): "x.yaml:4", ("stack", 0): "x.yaml:5"}
        >>> sources = SourceLocations(known, keys=frozenset({"stack", "device"}))
        >>> sources.put_before("stack[0].conv: got 3"), sources.put_before("device: got cuda")
        ('x.yaml:5: stack[0].conv: got 3', 'x.yaml:1: device: got cuda')
        >>> sources.put_before("a.wav: no such file")
        'a.wav: no such file'
        """
        return "\n".join(self._line(line) for line in message.splitlines())

    def _line(self, line: str) -> str:
        match = _KEY.match(line)
        parts = [int(part) if part.isdecimal() else part for part in _PART.findall(match[0])] if match else []
        if not parts or parts[0] not in self.keys:
            return line
        source = self._source(parts)
        return f"{source}: {line}" if source else line

    def _source(self, parts: Iterable[str | int]) -> str:
        """Of the nearest part that has one; what a short spelling leaves out (`layers`) is passed over."""
        location: Location = ()
        for part in parts:
            if (*location, part) in self.known:
                location = (*location, part)
        return self.known.get(location, "")
