"""Older names: ``covertreex.exceptions`` of covertreex 0.4.x."""


class ResidualPairwiseCacheError(RuntimeError):
    """What covertreex 0.4.x raised when its cache of kernels was missing. Nothing raises it here."""


__all__ = ["ResidualPairwiseCacheError"]
