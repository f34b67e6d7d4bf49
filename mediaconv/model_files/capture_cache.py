"""Captured models kept within the process: a folder's files are run by copies of one capture.

What a capture depends on is the caller's to say; nothing is kept on disk.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from threading import Lock

from torch import nn

from mediaconv.nn.copying import copy_module

MOST_KEPT = 4
_kept: OrderedDict[Hashable, nn.Module] = OrderedDict()
_lock = Lock()


def state_of(files: Iterable[Path]) -> tuple[Hashable, ...]:
    """What tells that files are as they were: path, size, and when and as what they were written."""
    states = []
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        states.append((str(file.resolve()), stat.st_size, stat.st_mtime_ns, stat.st_ino))
    return tuple(states)


def captured_once(key: Hashable, make: Callable[[], nn.Module]) -> nn.Module:
    """A copy, with weights of its own, of what `make` gave for this key the first time."""
    with _lock:
        module = _kept.pop(key, None)
        if module is None:
            module = make()
        _kept[key] = module
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
        return copy_module(module)
