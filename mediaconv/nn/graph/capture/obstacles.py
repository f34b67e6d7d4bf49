"""What stands in the way of `torch.export`, removed while a model is captured. The model is not changed.

- Recurrent layers unroll their loop for the example's length: they become one operation of our own.
- A size divided by a number becomes a float, and `ceil` of it an expression that grows with every layer:
  the quotient is kept as a fraction of sizes, so that rounding gives a plain size.
- `int` or `float` of a size would make it a number: in the model's own code it stays one (`plain_numbers`).
- `max_pool1d` is exported for one length alone: it becomes `max_pool2d`.
- `linspace` is exported for one length alone: it becomes an operation of our own.
- `istft` to a length is exported for that length alone: it is written out.
- `max` of sizes stays in the sizes of all that follows, which double with each: where one is always the
  larger, it is that. So do remainders, of padding to whole windows: they become quotients.
- Numbers that a model reads from constants of its own are taken for unknown: they are computed.
- A stride or kernel size that is a buffer makes sizes depend on data: it becomes the number that it holds.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mediaconv.nn.graph.capture.plain_numbers import sizes_stay_sizes, stated
from mediaconv.nn.graph.capture.sizes.constant_numbers import ConstantNumbers
from mediaconv.nn.graph.capture.sizes.multiples import multiples_short
from mediaconv.nn.graph.capture.sizes.settled import extremes_settled
from mediaconv.nn.graph.capture.torch_functions.inverse_spectrum import istft_of_any_length
from mediaconv.nn.graph.capture.torch_functions.linspace import spaces_of_any_length
from mediaconv.nn.graph.capture.torch_functions.replaced import replaced

_LIBRARY = torch.library.Library("mediaconv", "DEF")
_LIBRARY.define(
    "recurrent(str kind, Tensor x, Tensor[] state, Tensor[] weights, bool biases, int layers, "
    "bool bidirectional, bool batch_first) -> Tensor[]"
)
RECURRENT: dict[str, Any] = {
    "lstm": torch._VF.lstm,
    "gru": torch._VF.gru,
    "rnn_tanh": torch._VF.rnn_tanh,
    "rnn_relu": torch._VF.rnn_relu,
}  # type: ignore[attr-defined]


def run_recurrent(
    kind: str,
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> list[Tensor]:
    """Output and last state of an LSTM, GRU or RNN; the state is one tensor, an LSTM's two."""
    state = [s.to(x) for s in state]  # an exported program makes its zeros in the precision of its export
    first: Any = state if kind == "lstm" else state[0]
    return list(RECURRENT[kind](x, first, weights, biases, layers, 0.0, False, bidirectional, batch_first))


def _fake(
    kind: str,
    x: Tensor,
    state: list[Tensor],
    weights: list[Tensor],
    biases: bool,
    layers: int,
    bidirectional: bool,
    batch_first: bool,
) -> list[Tensor]:
    width = state[0].shape[-1] * (2 if bidirectional else 1)
    return [x.new_empty([*x.shape[:-1], width]), *(s.new_empty(s.shape) for s in state)]


_LIBRARY.impl("recurrent", run_recurrent, "CompositeExplicitAutograd")
_LIBRARY.impl("recurrent", _fake, "Meta")


class _Recurrent:
    """torch's functions of recurrent layers, those of ours in front."""

    def __getattr__(self, name: str) -> Any:
        if name not in RECURRENT:
            return getattr(torch._VF, name)

        def call(x: Tensor, hx: Any, weights: list[Tensor], *rest: Any) -> Any:
            if not isinstance(rest[0], bool):  # a packed sequence
                return RECURRENT[name](x, hx, weights, *rest)
            biases, layers, _, _, bidirectional, batch_first = rest
            state = list(hx) if name == "lstm" else [hx]
            return tuple(
                torch.ops.mediaconv.recurrent(
                    name, x, state, list(weights), biases, layers, bidirectional, batch_first
                )
            )

        return call


class _Quotient:
    """A size divided by a number, exact until it is rounded."""

    def __init__(self, top: Any, bottom: int) -> None:
        self.top, self.bottom = top, bottom

    def _float(self) -> Any:
        return _TRUEDIV(self.top, self.bottom)

    def __ceil__(self) -> Any:
        return -(-self.top // self.bottom)

    def __floor__(self) -> Any:
        return self.top // self.bottom

    __trunc__ = __int__ = __floor__

    def _combine(self, other: Any, sign: int) -> Any:
        if isinstance(other, float) and other.is_integer():
            other = int(other)
        if isinstance(other, int | torch.SymInt):
            return _Quotient(self.top + sign * other * self.bottom, self.bottom)
        return (operator.add if sign > 0 else operator.sub)(self._float(), other)

    def __add__(self, other: Any) -> Any:
        return self._combine(other, 1)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._combine(other, -1)

    def __truediv__(self, other: Any) -> Any:
        return _divide(self, other)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._float(), name)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rounding = {torch.ceil: "__ceil__", torch.floor: "__floor__", torch.trunc: "__trunc__"}
        if function in rounding:
            return _Rounded(getattr(args[0], rounding[function])())
        floats = tuple(a._float() if isinstance(a, _Quotient) else a for a in args)
        return function(*floats, **(kwargs or {}))


class _Rounded:
    """A size that a module takes for a tensor: what it does to it first is to change its type."""

    def __init__(self, size: Any) -> None:
        self.size = size

    def to(self, *type_: Any, **more: Any) -> Any:
        return self.size

    long = int = item = type = to


def _through_float(operation: Any) -> Any:
    def call(self: _Quotient, *others: Any) -> Any:
        return operation(self._float(), *others)

    return call


for _name in ("mul", "neg", "lt", "le", "gt", "ge", "eq", "ne", "pow"):
    setattr(_Quotient, f"__{_name}__", _through_float(getattr(operator, _name)))
_Quotient.__rmul__ = _Quotient.__mul__  # type: ignore[attr-defined,operator]
_Quotient.__hash__ = None  # type: ignore[assignment]


def _max_pool1d(
    x: Tensor,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """torch.max_pool1d by max_pool2d: the export of the former holds for one length alone."""
    numbers = (
        (n,) if isinstance(n, int) else tuple(n) for n in (kernel_size, stride or (), padding, dilation)
    )
    k, s, p, d = numbers
    y = x.unsqueeze(-2)
    return torch.max_pool2d(y, (1, *k), (1, *s) if s else (1, *k), (0, *p), (1, *d), ceil_mode).squeeze(-2)


_TRUEDIV = torch.SymInt.__truediv__


def _divide(self: Any, other: Any) -> Any:
    whole = isinstance(other, int) or (isinstance(other, float) and other.is_integer())
    top, bottom = (self.top, self.bottom) if isinstance(self, _Quotient) else (self, 1)
    if whole and not isinstance(other, bool) and other > 0:
        return _Quotient(top, bottom * int(other))
    return _TRUEDIV(top, bottom * other)


def _whole(number: Any) -> Any:
    """What `int` makes of a size, a fraction of one, or a number that follows from one."""
    if isinstance(number, _Rounded):
        return number.size
    if isinstance(number, _Quotient):
        return number.__trunc__()
    return torch.sym_int(number) if isinstance(number, torch.SymInt | torch.SymFloat) else None


def _fraction(number: Any) -> Any:
    """What `float` makes of the same."""
    if isinstance(number, torch.SymInt):
        return _Quotient(number, 1)
    return number if isinstance(number, _Quotient | torch.SymFloat) else None


_NUMBERS = {"int": stated(int, _whole), "float": stated(float, _fraction)}


@contextmanager
def obstacles_removed(module: nn.Module, *, fractions: bool = True) -> Iterator[None]:
    """While it is open, torch's functions and the module's numbers are replaced as said above."""
    divisions = {"__truediv__": _divide} if fractions else {}
    names = _NUMBERS if fractions else {}
    with (
        _buffers_are_numbers(module),
        replaced(torch, max_pool1d=_max_pool1d),
        replaced(torch.nn.modules.rnn, _VF=_Recurrent()),
        replaced(torch.SymInt, **divisions),
        istft_of_any_length(),
        spaces_of_any_length(),
        extremes_settled(),
        multiples_short(),
        ConstantNumbers(),
        sizes_stay_sizes(module, **names),
    ):
        yield


@contextmanager
def _buffers_are_numbers(module: nn.Module) -> Iterator[None]:
    """While it is open, whole numbers that the module holds as buffers are plain ones."""
    numbers = [
        (part, name, buffer)
        for part in module.modules()
        for name, buffer in part._buffers.items()
        if buffer is not None
        and buffer.ndim == 0
        and buffer.dtype == torch.int64
        and name != "num_batches_tracked"
    ]
    for part, name, buffer in numbers:
        del part._buffers[name]
        part.__dict__[name] = int(buffer)
    try:
        yield
    finally:
        for part, name, buffer in numbers:
            del part.__dict__[name]
            part._buffers[name] = buffer
