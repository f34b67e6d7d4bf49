"""`assert` on values of a tensor, which torch cannot export: taken as true while captured, and told.

The module itself still checks them; its stream does not.
"""

from __future__ import annotations

import dis
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from mediaconv.nn.graph.capture.torch_functions.replaced import replaced


def _demanded(frame: FrameType) -> bool | None:
    """What a frame's `assert` wants of the truth that it asks for now; None where no assert asks."""
    ahead = [i for i in dis.get_instructions(frame.f_code) if i.offset >= frame.f_lasti]
    names = [i.opname for i in ahead if i.opname not in ("TO_BOOL", "EXTENDED_ARG", "NOP")][:2]
    if len(names) < 2 or names[1] not in ("LOAD_ASSERTION_ERROR", "LOAD_COMMON_CONSTANT"):
        return None
    jumps = {"IF_TRUE": True, "IF_FALSE": False}
    return next((wanted for name, wanted in jumps.items() if names[0].endswith(name)), None)


@contextmanager
def assertions_hold() -> Iterator[list[str]]:
    """While it is open, asserts on tensors without values hold. Gives where they stand, as they are met."""
    met: list[str] = []
    given = Tensor.__bool__

    def truth(self: Tensor) -> bool:
        frame = sys._getframe(1)
        wanted = _demanded(frame) if isinstance(self, FakeTensor) else None
        if wanted is None:
            return given(self)
        file, line = frame.f_code.co_filename, frame.f_lineno
        met.append(f"{file}:{line}: {linecache.getline(file, line).strip()}")
        return wanted

    with replaced(Tensor, __bool__=truth):
        yield met
