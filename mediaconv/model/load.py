"""A stack straight from its YAML file, for notebooks and scripts. No file of media is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import mediaconv.nn as mnn
from mediaconv.config import load_config
from mediaconv.model.build import build_stack
from mediaconv.pipeline import find


def load_stack(
    path: Path | str, *, channels: int, rate_hz: float | None = None, overrides: Sequence[str] = ()
) -> mnn.Sequential:
    """The stack of a configuration with its weights, in evaluation mode, float32, on the CPU.

    channels: of its inputs. rate_hz: steps of the stream axis a second, for kernels given in Hz.
    overrides: as `--set` takes them, "stack.0.conv.kernel_size=5".
    A notebook shows it as its trace. Raises UsageError.
    """
    config = load_config(Path(path), overrides=list(overrides))
    return build_stack(config, find(config.pipeline), channels=channels, rate_hz=rate_hz)
