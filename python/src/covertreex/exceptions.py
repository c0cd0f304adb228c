"""Older names: ``covertreex.exceptions`` of covertreex 0.4.x."""


class ResidualPairwiseCacheError(RuntimeError):
    """A conflict graph by residual correlation needs the distances that the traversal has computed."""


__all__ = ["ResidualPairwiseCacheError"]
