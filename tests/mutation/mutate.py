"""A file's mutants: parts dropped, doubled, moved, exchanged with another file's, and numbers made absurd."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.mutation.mutated_containers import parts_of, repaired

NUMBERS = (0, 1, 2, 3, 7, 8, 15, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31)
NUMBERS += (2**32 - 1, 2**32, 2**48, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (
    b"-1",
    b"0",
    b"1e308",
    b"NaN",
    b"../x",
    b"/etc/passwd",
    b'"',
    b"null",
    b"[]",
    b"{}",
    b"9" * 40,
    b"\xff\xfe",
)


def mutant(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One mutant; the same generator gives the same one."""
    for _ in range(rng.choice((1, 1, 2, 3, 5))):
        data = rng.choice(WAYS)(data, others, rng) or data
    return repaired(data) if rng.random() < 0.8 else data


def _part(data: bytes, rng: random.Random) -> tuple[int, int]:
    return rng.choice(parts_of(data))


def _number(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """An integer of a part's beginning is another."""
    start, end = _part(data, rng)
    size = rng.choice((1, 2, 4, 8))
    offset = start + rng.randrange(min(end - start, 48))
    old = int.from_bytes(data[offset : offset + size], "big")
    value = rng.choice((rng.choice(NUMBERS), old + 1, old - 1, old * 2, old ^ 1 << rng.randrange(8 * size)))
    raw = (value % (1 << 8 * size)).to_bytes(size, rng.choice(("big", "little")))
    return data[:offset] + raw + data[offset + size :]


def _word(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    offset = rng.randrange(start, end)
    return data[:offset] + rng.choice(WORDS) + data[offset + rng.randrange(4) :]


def _bytes(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    made = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        made[rng.randrange(start, end)] = rng.randrange(256)
    return bytes(made)


def _drop(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    return data[:start] + data[end:]


def _double(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, end = _part(data, rng)
    times = 1 if end - start > 4096 else rng.choice((1, 2, 50))
    return data[:end] + data[start:end] * times + data[end:]


def _move(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    (a, b), (c, d) = sorted((_part(data, rng), _part(data, rng)))
    return data if b > c else data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _splice(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    (a, b), (c, d) = _part(data, rng), _part(other, rng)
    return data[:a] + other[c:d] + data[b:]


def _cut(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    return data[: max(1, rng.choice(_part(data, rng)) + rng.randint(-3, 3))]


WAYS = (_number, _number, _number, _word, _bytes, _bytes, _drop, _double, _move, _splice, _cut)
