"""Powers and sines in float64, step by step the library's (``powers.h``)."""

from __future__ import annotations

import numpy as np

from .common import fused_multiply_add, internal

_BITS_OF_HALF = 0x3FE6A09E667F3BCD  # of the square root of 1/2, with which mantissas begin
_TWICE_LOG2_E = float.fromhex("0x1.71547652b82fep+1")
_LN_2 = float.fromhex("0x1.62e42fefa39efp-1")
_SHIFT = float.fromhex("0x1.8p52")
_INVERSE_PI = float.fromhex("0x1.45f306dc9c883p-2")
# pi as a sum of three numbers, and half of it as a sum of two.
_PI_1, _PI_2, _PI_3 = map(float.fromhex, ("0x1.921fb544p+1", "0x1.0b4611a6p-33", "0x1.3198a2e037073p-68"))
_HALF_PI_1, _HALF_PI_2 = map(float.fromhex, ("0x1.921fb54442d18p+0", "0x1.1a62633145c07p-54"))
_LEAST_NORMAL = 2.0**-1022

_ODD = (19, 17, 15, 13, 11, 9, 7, 5, 3)
_FACTORIALS = (479001600.0, 39916800.0, 3628800.0, 362880.0, 40320.0, 5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0)
_SINE = (
    -1.0 / 121645100408832000.0, 1.0 / 355687428096000.0, -1.0 / 1307674368000.0, 1.0 / 6227020800.0,
    -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0, 1.0 / 120.0, -1.0 / 6.0,
)  # fmt: skip


@internal
def power(x: float, p: float) -> float:
    """``x ** p`` for ``x >= 0`` and ``p >= 1``; results below the least normal number are 0."""
    if x < _LEAST_NORMAL:
        return 0.0
    bits = np.float64(x).view(np.int64)
    exponent = (bits - np.int64(_BITS_OF_HALF)) >> np.int64(52)
    m = np.int64(bits - (exponent << np.int64(52))).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = 1.0 / 21
    for odd in _ODD:
        total = fused_multiply_add(total, z, 1.0 / odd)
    total = fused_multiply_add(total * z, s, s)
    y = p * fused_multiply_add(total, _TWICE_LOG2_E, np.float64(exponent))
    if y < -1022.0:
        return 0.0
    if y >= 1024.0 or x == np.inf:
        return np.inf
    shifted = y + _SHIFT
    r = (y - (shifted - _SHIFT)) * _LN_2
    e = 1.0 / 6227020800
    for factorial in _FACTORIALS:
        e = fused_multiply_add(e, r, 1.0 / factorial)
    return np.int64(np.float64(e).view(np.int64) + (np.float64(shifted).view(np.int64) << np.int64(52))).view(
        np.float64
    )


@internal
def _unsigned_sine(x: float) -> float:
    """The sine, up to its sign."""
    n = fused_multiply_add(x, _INVERSE_PI, _SHIFT) - _SHIFT
    r = fused_multiply_add(n, -_PI_1, x)
    r = fused_multiply_add(n, -_PI_2, r)
    r = fused_multiply_add(n, -_PI_3, r)
    z = r * r
    total = 1.0 / 51090942171709440000.0
    for coefficient in _SINE:
        total = fused_multiply_add(total, z, coefficient)
    return fused_multiply_add(total * z, r, r)


@internal
def squared_sine(x: float) -> float:
    sine = _unsigned_sine(x)
    return sine * sine


@internal
def cosine(x: float) -> float:
    """Of an angle from -pi / 2 to pi / 2."""
    return abs(_unsigned_sine((_HALF_PI_1 - abs(x)) + _HALF_PI_2))
