"""Where a module makes a number of its input's length, so that an export holds for that length alone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.fx.experimental.sym_node import SymNode

from mediaconv.nn.graph.capture.export_failure import frames_of, place_of
from mediaconv.nn.graph.capture.torch_functions.replaced import replaced
from mediaconv.nn.graph.refusal import located

_MOST = 4
_WAYS = (
    "Such a loop streams as torch.nn.GRU or LSTM, as cumsum or the like, or as a layer with a step of its "
    "own by register_converter; where it forgets after so many steps, opaque(module, lookback, lookahead) "
    "runs it in overlapping windows"
)
_FIXED = (
    "torch.export: its export holds for {} steps along the stream axis alone: a size is written into the "
    "module (also by int() or float() of it in a function of another package), the example is too short, or "
    f"a Python loop runs over the steps. {_WAYS}"
)
_MADE = (
    "it makes a number of the input's length, or a Python loop runs over the steps, so that its export holds "
    f"for {{}} of them alone. {_WAYS}"
)
_ALSO = "it makes a number of the length, too"


class LengthsFixed:
    """Places in a module where a number was made of the size of a dimension of its input."""

    def __init__(self, module: nn.Module, dim: int) -> None:
        self.module = module
        self.places: dict[tuple[str, str], None] = {}
        self._size = re.compile(rf"\bsize\(\)\[{dim}\]")

    def reasons(self, length: int) -> list[str]:
        """Why an export is for one length, with each place where that is known."""
        if not self.places:
            return [_FIXED.format(length)]
        first, *others = list(self.places)[:_MOST]
        return [located(_MADE.format(length), *first), *(located(_ALSO, *place) for place in others)]

    def note(self, node: SymNode) -> None:
        """Keep where a size is made a number, if it is of the dimension."""
        if not any(self._of_dim(node, symbol) for symbol in getattr(node._expr, "free_symbols", ())):
            return
        path, line = place_of(frames_of(sys._getframe(2)), self.module)
        if line:
            self.places.setdefault((path, line))

    def _of_dim(self, node: SymNode, symbol: Any) -> bool:
        sources = getattr(node.shape_env, "var_to_sources", {}).get(symbol, ())
        return any(self._size.search(str(getattr(source, "name", ""))) for source in sources)


@contextmanager
def lengths_fixed(module: nn.Module, dim: int) -> Iterator[LengthsFixed]:
    """While it is open, sizes that are made numbers are noted."""
    fixed = LengthsFixed(module, dim)
    guard_int = SymNode.guard_int

    def noted(self: SymNode, file: Any, line: Any) -> int:
        fixed.note(self)
        return guard_int(self, file, line)  # type: ignore[no-any-return]

    with replaced(SymNode, guard_int=noted):
        yield fixed
