"""What a run of the tests counts beyond passed and failed. Imports nothing, so that every conftest may."""

from __future__ import annotations

from collections import Counter

passed: Counter[str] = Counter()
"""Random cases that went through the contract of exact streaming, layers and stacks; shown at the end."""
