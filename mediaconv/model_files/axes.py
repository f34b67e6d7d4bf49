"""A model's own layout: `n t c`, `t c h w` (frames as a batch), `1 (t c) h w` (frames as channels)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\([^()]*\)|\S+")


@dataclass(frozen=True)
class AxesPattern:
    """Where each of our axes stands in a model's tensors.

    order: one entry a dimension: an axis' letter, "1", or "n t" where frames are the batch.
    frames: whether several frames stand in the channels.
    """

    order: tuple[str, ...]
    frames: bool = False

    @classmethod
    def parse(cls, text: str, axes: tuple[str, ...]) -> AxesPattern:
        """axes: names of the pipeline's axes, the stream axis first. Raises ValueError."""
        letters = [axis[0] for axis in axes]
        stream = letters[0]
        tokens = [" ".join(t.strip("()").split()) if t.startswith("(") else t for t in _TOKEN.findall(text)]
        frames = f"{stream} c" in tokens
        if frames:
            tokens[tokens.index(f"{stream} c")] = "c"
        named = [name for token in tokens for name in token.split() if name != "1"]
        if "n" not in named:
            if tokens and tokens[0] == "1":
                tokens[0] = "n"
            elif tokens and tokens[0] == stream and len(letters) > 1:
                tokens[0] = f"n {stream}"
            named = [name for token in tokens for name in token.split() if name != "1"]
        wanted = ["n", "c", *(letters[1:] if frames else letters)]
        grouped = [token for token in tokens if " " in token and token != f"n {stream}"]
        if sorted(named) != sorted(wanted) or grouped:
            plain, example = " ".join(["n", "c", *letters]), f"1 ({stream} c) {' '.join(letters[1:])}".strip()
            raise ValueError(
                f"got {text!r}, expected the axes {plain} in the model's order, "
                f"{stream} first for frames as a batch, or such as {example!r}"
            )
        if frames:
            tokens = [f"n {stream}" if token == "n" else token for token in tokens]
        return cls(tuple(tokens), frames)

    def channel_axis(self) -> int:
        """The dimension of the model's tensors that holds the channels."""
        return self.order.index("c")
