"""A number of things in words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """A number with its noun in the singular or plural. noun: either, a plural in s.

    >>> counted(1, "file"), counted(2, "file"), counted(1, "samples"), counted(2180, "samples")
    ('1 file', '2 files', '1 sample', '2,180 samples')
    """
    one = noun.removesuffix("s")
    return f"{count:,} {one}{'' if count == 1 else 's'}"
