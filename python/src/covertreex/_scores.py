"""Scores, which decide between pairs of points as the library's do.

A score is the squared distance. Below a distance of 2**-480 a square loses digits to underflow. There the score is a
negative number instead, whose bits encode the square of 2**600 times the distance, so that a smaller distance has a
smaller score.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np

#: Squared distances below this have lost digits.
LEAST_SQUARE = 2.0**-960
#: The factor of small distances before they are squared.
MAGNIFICATION = 2.0**600
#: The score of a distance of zero, the least of all.
OF_ZERO = -(2.0**300)

_BITS_OF_ZERO: int = struct.unpack("<q", struct.pack("<d", -OF_ZERO))[0]


def _largest_square(distance: float) -> float:
    """The largest number whose square root, as it is rounded, is at most this."""
    square = distance * distance
    while math.sqrt(square) > distance:
        square = math.nextafter(square, 0)
    while math.isfinite(square) and math.sqrt(math.nextafter(square, math.inf)) <= distance:
        square = math.nextafter(square, math.inf)
    return square


def largest_reported(limit: float, dtype: np.dtype[Any]) -> float:
    """The largest number that is at most ``limit``, before or after it is rounded to the type of distances."""
    return float(each_largest_reported(np.float64(limit), dtype))


def each_largest_reported(limits: Any, dtype: np.dtype[Any]) -> Any:
    """The same for each of some limits, in float64."""
    if dtype != np.float32:
        return limits
    with np.errstate(all="ignore"):
        below = limits.astype(np.float32)
        below = np.where(below > limits, np.nextafter(below, np.float32(-np.inf)), below)
        # A number halfway between two others is rounded to the even one.
        gap = np.minimum(np.spacing(below), np.float32(2.0**104))  # infinite above the largest number
        middle = below.astype(np.float64) + gap.astype(np.float64) / 2
        middle = np.where(middle.astype(np.float32) > limits, np.nextafter(middle, 0), middle)
    return np.where((limits >= 0) & (limits < np.inf), np.maximum(limits, middle), limits)


def largest_score(distance: float, dtype: np.dtype[Any]) -> float:
    """The largest score that counts as within a distance, inclusive, before or after that is rounded to a type."""
    distance = largest_reported(distance, dtype)
    if distance == math.inf:
        return math.inf
    if distance >= 2.0**-480:
        return _largest_square(distance)
    # Below the least normal number a distance is rounded when it is made smaller again.
    magnified = (distance * MAGNIFICATION + math.nextafter(distance, math.inf) * MAGNIFICATION) / 2
    while magnified / MAGNIFICATION > distance:
        magnified = math.nextafter(magnified, 0)
    square = min(_largest_square(magnified), math.nextafter(2.0**240, 0))
    bits: int = struct.unpack("<q", struct.pack("<d", square))[0]
    score: float = struct.unpack("<d", struct.pack("<q", _BITS_OF_ZERO - bits))[0]
    return -score
