"""A random order of many things, which needs no memory: a keyed permutation of the numbers below n.

A Feistel network of four rounds permutes all numbers of an even count of bits. A number that it sends beyond the range
is sent through it again, until it falls inside (cycle walking). So the whole is a permutation of the range, and can be
inverted. The rounds mix with the finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._capi import Int64s

_ROUNDS = 4


class Order(Protocol):
    """An order of the rows of a dataset: a bijection of 0 to n - 1."""

    def __call__(self, rows: ArrayLike) -> Int64s:
        """The dataset index of each row."""

    def inverse(self, indices: ArrayLike) -> Int64s:
        """The row of each dataset index."""


class Permutation:
    """A random order of ``n`` rows, by a seed."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        #: Half of the bits of a number that the network permutes: the fewest whose range includes 0 to n - 1.
        self._half = np.uint64(max(1, -(-(n - 1).bit_length() // 2)))
        self._mask = (np.uint64(1) << self._half) - np.uint64(1)
        self._keys: NDArray[np.uint64] = (
            np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64).astype(np.uint64)
        )

    def __call__(self, rows: ArrayLike) -> Int64s:
        """The dataset index of each row."""
        return self._walked(rows, self._keys, "rows", forward=True)

    def inverse(self, indices: ArrayLike) -> Int64s:
        """The row of each dataset index."""
        return self._walked(indices, self._keys[::-1], "indices", forward=False)

    def _walked(self, given: ArrayLike, keys: NDArray[np.uint64], name: str, *, forward: bool) -> Int64s:
        """Send numbers through the network until all are in the range."""
        numbers = np.asarray(given, np.int64)
        outside = (numbers < 0) | (numbers >= self.n)
        if outside.any():
            raise IndexError(f"{name}: expected 0 to {self.n - 1}, got {numbers[outside][0]}")
        found = numbers.astype(np.uint64).ravel()
        beyond = np.arange(found.size)
        while len(beyond):
            found[beyond] = self._network(found[beyond], keys, forward)
            beyond = beyond[found[beyond] >= np.uint64(self.n)]
        return found.astype(np.int64).reshape(numbers.shape)

    def _network(self, numbers: NDArray[np.uint64], keys: NDArray[np.uint64], forward: bool) -> NDArray[np.uint64]:
        """The network, or its inverse, which has the keys in the other order and the halves swapped."""
        left, right = numbers >> self._half, numbers & self._mask
        if not forward:
            left, right = right, left
        for key in keys:
            left, right = right, left ^ (_mixed(right + key) & self._mask)
        if not forward:
            left, right = right, left
        both: NDArray[np.uint64] = (left << self._half) | right
        return both


def _mixed(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers whose bits depend on all bits of the given ones."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    numbers ^= numbers >> np.uint64(31)
    return numbers
