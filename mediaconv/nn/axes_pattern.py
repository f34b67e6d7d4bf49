"""A model's own layout as a pattern: `n t c`, `n t`, `t c h w` (frames as a batch), `n c t -> n t c`.

What such a pattern says is read here; tensors are moved by `model_layout`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\([^()]*\)|\S+")
_ARROW = "->"
_SPARE = "sabdefgijklmopqruvxyz"
"""Names for axes of a model's output that are parts of the channels."""


@dataclass(frozen=True)
class AxesPattern:
    """Where each of our axes stands in what a model takes and gives.

    text: as it was written. letters: of our axes after the channels, in their order.
    order: of what it takes, one entry a dimension: an axis' letter, "1", or "n t" where frames are the batch.
    output: the same of what it gives; names of its own there are parts of the channels.
    frames: whether several frames stand in the channels of what it takes.
    """

    text: str
    letters: tuple[str, ...]
    order: tuple[str, ...]
    output: tuple[str, ...]
    frames: bool = False

    @classmethod
    def parse(cls, text: str, axes: Sequence[str] | None = None, *, stream: int = 0) -> AxesPattern:
        """axes: names of our axes in their order; by default those of the pattern itself, `t` first.
        stream: which of them is the stream axis. Raises ValueError.
        """
        if not isinstance(text, str):
            raise ValueError(f"got {text!r}, expected a pattern such as 'n t c' or 'n c t -> n t c'")
        taken, arrow, given = text.partition(_ARROW)
        tokens = _tokens(taken)
        letters = tuple(axis[0] for axis in axes) if axes is not None else _letters(tokens)
        if not stream < len(letters):
            raise ValueError(f"got {text!r}, which has no axis {stream} besides n and c")
        frames = f"{letters[0]} c" in tokens
        order = _batched(["c" if token == f"{letters[0]} c" else token for token in tokens], letters, frames)
        names = _names(order)
        wanted = ["n", *(["c"] if "c" in names else []), *letters]
        if sorted(names) != sorted(wanted) or not _groups_known(order, letters):
            raise ValueError(_expected(text, letters))
        output = order
        if arrow:
            output = _batched(_tokens(given), letters, frames)
            _check_output(text, output, letters, stream)
        return cls(" ".join(text.split()), letters, tuple(order), tuple(output), frames)

    @property
    def plain(self) -> bool:
        """Whether the model's layout is ours, so that nothing is moved."""
        ours = ("n", "c", *self.letters)
        return self.order == ours and self.output == ours and not self.frames

    def channel_axis(self) -> int | None:
        """The dimension of what the model takes that holds the channels; None where it has one without it."""
        return self.order.index("c") if "c" in self.order else None


def _tokens(side: str) -> list[str]:
    return [" ".join(token.strip("()").split()) for token in _TOKEN.findall(side)]


def _names(tokens: Sequence[str]) -> list[str]:
    return [name for token in tokens for name in token.split() if name != "1"]


def _letters(tokens: Sequence[str]) -> tuple[str, ...]:
    """A pattern's own axes: time first, the others in the order in which it names them."""
    names = [name for name in dict.fromkeys(_names(tokens)) if name not in ("n", "c")]
    return tuple(sorted(names, key=lambda name: name != "t"))


def _batched(tokens: list[str], letters: tuple[str, ...], frames: bool) -> list[str]:
    """The tokens with the batch named, where 1 or the frames stand for it."""
    stream = letters[0]
    if "n" not in _names(tokens) and tokens:
        if tokens[0] == "1":
            tokens = ["n", *tokens[1:]]
        elif tokens[0] == stream and len(letters) > 1:
            tokens = [f"n {stream}", *tokens[1:]]
    if frames and stream not in _names(tokens):
        tokens = [f"n {stream}" if token == "n" else token for token in tokens]
    return tokens


def _groups_known(tokens: Sequence[str], letters: tuple[str, ...]) -> bool:
    """Whether nothing is grouped but frames with the batch, in the first dimension."""
    groups = [(i, token) for i, token in enumerate(tokens) if " " in token]
    return all(i == 0 and token == f"n {letters[0]}" for i, token in groups)


def _expected(text: str, letters: tuple[str, ...]) -> str:
    stream, others = letters[0], " ".join(letters[1:])
    plain, example = " ".join(["n", "c", *letters]), f"1 ({stream} c) {others}".strip()
    return (
        f"got {text!r}, expected the axes {plain} in the model's order (no c: one channel without an axis), "
        f"{stream} first for frames as a batch, or such as {example!r}; what the model gives, where it has "
        f"another layout, stands after {_ARROW}"
    )


def _check_output(text: str, output: Sequence[str], letters: tuple[str, ...], stream: int) -> None:
    names = _names(output)
    if letters[stream] not in names or "n" not in names:
        raise ValueError(
            f"got {text!r}: after {_ARROW} stand the axes of what the model gives, with n and "
            f"{letters[stream]}, along which it streams"
        )
    if len(set(names)) != len(names) or not _groups_known(output, letters):
        raise ValueError(
            f"got {text!r}: after {_ARROW} each axis stands once and alone, or the first two as "
            f"(n {letters[0]})"
        )


def told_output(letters: Sequence[str], known: Sequence[str | None], sizes: Sequence[int]) -> str | None:
    """A pattern for what a model was seen to give, or None where it does not follow.

    known: for each dimension the axis that it was seen to follow (`n t` for both), None for others, which
    are the channels. sizes: of those.
    """
    names = _names([name for name in known if name])
    if "n" not in names or len(set(names)) != len(names) or not set(letters) & set(names):
        return None
    others = [i for i, name in enumerate(known) if name is None]
    channels = [i for i in others if sizes[i] != 1] or others
    spare = iter(name for name in _SPARE if name not in letters)
    words = {i: next(spare) if i in channels else "1" for i in others} | dict.fromkeys(channels[-1:], "c")
    return " ".join(words[i] if name is None else _grouped(name) for i, name in enumerate(known))


def _grouped(name: str) -> str:
    return f"({name})" if " " in name else name
