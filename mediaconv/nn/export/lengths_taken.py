"""For which lengths of an input an exported step holds: a captured model's padding may follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from torch import nn

from mediaconv.nn.graph.graph import StreamingGraph
from mediaconv.nn.streaming.protocol import axis_map, parts_of

LONG, MOST_PERIOD = 2**14, 512
"""A length over any least one that padding asks for, and the longest period that is looked for."""


@dataclass(frozen=True)
class Lengths:
    """Lengths from `least` on whose rest after division by `period` is one of `rests`."""

    period: int
    rests: tuple[int, ...]
    least: int

    def take(self, length: int) -> bool:
        return length >= self.least and length % self.period in self.rests

    def refuse(self, length: int) -> ValueError:
        rests = " or ".join(map(str, self.rests))
        return ValueError(
            f"length {length}: the model pads, cuts or goes otherwise there; this step is for lengths from "
            f"{self.least} on that leave {rests} when divided by {self.period}: export the model captured "
            "with length= of such an input"
        )


def fits_length(module: nn.Module, length: int) -> bool:
    """Whether all captured models in a stack hold for an input of a length."""
    if isinstance(module, StreamingGraph):
        return module._ways is None or module.takes(length)
    if isinstance(module, nn.Sequential):
        for layer in module:
            if not fits_length(layer, length):
                return False
            try:
                length = axis_map(layer, 0).output_length(length)
            except ValueError:  # too short for paths that are joined
                return False
        return True
    return all(fits_length(part, length) for _, part in parts_of(module))


def lengths_of(module: nn.Module) -> Lengths | None:
    """The lengths that a stack is for; None for all. Raises ValueError where they follow no short period."""
    if not any(isinstance(part, StreamingGraph) for part in module.modules()):
        return None
    late = [fits_length(module, LONG + i) for i in range(2 * MOST_PERIOD)]
    if all(late):
        return None
    for period in range(2, MOST_PERIOD + 1 if any(late) else 2):
        if late[:-period] == late[period:]:
            rests = tuple(sorted((LONG + i) % period for i in range(period) if late[i]))
            wrong = (n for n in range(LONG, 0, -1) if n % period in rests and not fits_length(module, n))
            least = next(wrong, 0) + 1
            return Lengths(period, rests, next(n for n in count(least) if n % period in rests))
    raise ValueError(
        f"this model holds for some lengths of its input alone, which repeat after more than {MOST_PERIOD} "
        "steps or never: its step could not tell for which; stream it in Python, with length="
    )
