"""Whether a name that a file of rows or claims gives stays below its folder."""

from __future__ import annotations

UNSAFE_PARTS = frozenset({"", ".", ".."})


def is_safe_name(name: str) -> bool:
    """Whether a path stays below the folder that it is taken from.

    >>> is_safe_name("a/b.png"), is_safe_name("/a"), is_safe_name("a/../../b"), is_safe_name("")
    (True, False, False, False)
    """
    return "\0" not in name and (
        UNSAFE_PARTS.isdisjoint(name.split("/")) if "/" in name else name not in UNSAFE_PARTS
    )
