"""Random numbers, all from one seed."""

from __future__ import annotations

import zlib

import numpy as np


def rng(seed: int, *names: str | int) -> np.random.Generator:
    """A generator for each purpose. So a new draw in one place changes no other.

    >>> rng(1, "shuffle", 0).integers(1000) == rng(1, "shuffle", 0).integers(1000)
    True
    """
    keys = [n if isinstance(n, int) else zlib.crc32(n.encode()) for n in names]
    return np.random.default_rng([seed, *keys])
