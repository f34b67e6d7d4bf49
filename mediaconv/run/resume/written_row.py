"""A finished row exactly as this program writes one, read by one regular expression instead of as JSON.

It takes half the time, for nothing is made of the values but what a fingerprint needs. What it matches is a
valid row, to the letter; any other line is left to `rows.decoded`, which also says what is wrong with it.
"""

from __future__ import annotations

import functools
import re

from mediaconv.run.resume.fingerprint import mark, run_mark
from mediaconv.run.resume.safe_name import is_safe_name

MOST_OUTPUTS = 64
_WHOLE = r"(?:0|[1-9][0-9]{0,18}+)"
_NUMBER = rf"{_WHOLE}(?:\.[0-9]++)?"
_TEXT = r'"[^"\\\x00-\x1f]*+"'
_HASH = r'"[0-9a-f]{64}"'
_PAIR = rf"{_TEXT}: {_TEXT}"


def _list(value: str) -> str:
    return rf"\[(?:{value}(?:, {value})*+)?\]"


_SHAPE = rf"(?:null|{_list(_WHOLE)})"
_FILE = (
    r'\{"path": "(?P=input)/([^"\\/\x00-\x1f]++)", '
    rf'"bytes": ({_WHOLE}), "sha256": {_HASH}, "time": ({_WHOLE})\}}'
)
_START = r'\{"input": "(?P<input>[^"\\\x00-\x1f]++)", "status": "done", "outputs": \['
_END = (
    rf'\], "stage": null, "reason": null, "seconds": {_NUMBER}, "media_seconds": (?:null|{_NUMBER}), '
    rf'"input_shape": {_SHAPE}, "output_shape": {_SHAPE}, "clipped": {_WHOLE}, "notes": {_list(_TEXT)}, '
    rf'"identity": \{{"config": "({_HASH[1:-1]})", "weights": "([0-9a-f]*+)", "code": "([^"\\\x00-\x1f]*+)", '
    rf'"size": ({_WHOLE}), "time": ({_WHOLE}), "sha256": {_HASH}\}}, '
    rf'"versions": \{{(?:{_PAIR}(?:, {_PAIR})*+)?\}}, "attempts": {_WHOLE}, "place": {_TEXT}\}}\n'
)


def read_written(line: bytes) -> tuple[str, tuple[str, ...], int] | None:
    """Input, names of its outputs in its folder, and the row's mark; None for another line.

    The names are not checked beyond this: they hold no slash.
    """
    count = line.count(b'{"path": "')
    if count > MOST_OUTPUTS:
        return None
    try:
        match = _pattern(count).fullmatch(line.decode())
    except UnicodeDecodeError:
        return None
    if match is None:
        return None
    values = match.groups()
    name, files = values[0], values[1:-5]
    if not is_safe_name(name):
        return None
    size, time = map(int, values[-2:])
    known = mark(run_mark(*values[-5:-2]), size, time, map(int, files[1::3]), map(int, files[2::3]))
    return name, files[::3], known


@functools.lru_cache(maxsize=MOST_OUTPUTS + 1)
def _pattern(outputs: int) -> re.Pattern[str]:
    """Of a row with so many outputs."""
    return re.compile(_START + ", ".join([_FILE] * outputs) + _END)
