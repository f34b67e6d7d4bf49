"""Below how much work one thread does it all: to share it would take longer than it takes.

Measured with 6 layers of 32 channels on two threads and one: torch's threads wait for each other in a loop,
which costs 2 to 25 times one thread's processor time on a busy machine, at any size. At quiet moments two
gain nothing at 6 million products, a tenth at 12 and three tenths at 25. A pool's threads sleep while they
wait.
"""

from __future__ import annotations

FEW_FOR_TORCH = 1 << 24
"""Products of a layer of sound up to which torch's threads are left alone."""
FEW_FOR_A_POOL = 1 << 21
"""Products of a layer of film that one thread adds up in less time than it takes to wake another."""
