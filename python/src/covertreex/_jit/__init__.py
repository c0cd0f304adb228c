"""Kernels for Numba that walk exported arrays, for trees with ``engine="hybrid"`` and :mod:`covertreex.numba`."""

try:
    import numba  # noqa: F401
except ImportError as error:
    raise ImportError("covertreex.numba: needs numba; pip install 'covertreex[numba]'") from error
